"""The actions on messages: send, receive, delete and change visibility, singly and in batches."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker.emulators.sqs.attributes import MAXIMUM_BYTES
from worker.emulators.sqs.batches import Batch, read_entries
from worker.emulators.sqs.contents import read_sending, size_of_entry
from worker.emulators.sqs.errors import SqsError, missing
from worker.emulators.sqs.faults import Injected
from worker.emulators.sqs.journal import Journal
from worker.emulators.sqs.message import Received, md5_of, md5_of_attributes
from worker.emulators.sqs.parameters import Parameters, names, text, visibility, whole
from worker.emulators.sqs.queue import Queue
from worker.emulators.sqs.queues import Queues
from worker.emulators.sqs.rendering import check_system_names, render_received

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what is asked, and what shall go wrong with it."""

    action: str
    parameters: Parameters
    injected: Injected


class MessageActions:
    """The actions on messages, each a method of SQS's name in snake case."""

    def __init__(self, queues: Queues, journal: Journal) -> None:
        self._queues = queues
        self._journal = journal
        self._polls_end = False

    def end_polls(self) -> None:
        """Let long polls return at once with what there is."""
        self._polls_end = True
        self._queues.ring_all()

    def allow_polls(self) -> None:
        """Let long polls wait again."""
        self._polls_end = False

    async def send_message(self, call: Call) -> Answer:
        """Keep a message."""
        return self._one(call, _send)

    async def send_message_batch(self, call: Call) -> Answer:
        """Keep up to ten messages, 1 MiB together."""
        entries = read_entries(call.parameters)
        _check_size(entries)
        return self._run_batch(call, entries, _send)

    async def receive_message(self, call: Call) -> Answer:
        """Give out up to ten messages, or wait for one; `Messages` is absent without any.

        A client that hangs up while it waits is not noticed: what comes then is leased to
        nobody until its visibility timeout, as it happens with SQS.
        """
        parameters = call.parameters
        system_names = names(parameters, "AttributeNames", "MessageSystemAttributeNames")
        attribute_names = names(parameters, "MessageAttributeNames")
        check_system_names(system_names)
        received = await self._receive(call)
        if not received:
            return {}
        rendered = [render_received(one, system_names, attribute_names) for one in received]
        return {"Messages": rendered}

    async def delete_message(self, call: Call) -> Answer:
        """Delete a message by the handle of its newest receive."""
        return self._one(call, _delete)

    async def delete_message_batch(self, call: Call) -> Answer:
        """Delete up to ten messages."""
        return self._run_batch(call, read_entries(call.parameters), _delete)

    async def change_message_visibility(self, call: Call) -> Answer:
        """Set the end of a lease, in seconds from now."""
        return self._one(call, _change_visibility)

    async def change_message_visibility_batch(self, call: Call) -> Answer:
        """Set the end of up to ten leases."""
        return self._run_batch(call, read_entries(call.parameters), _change_visibility)

    async def _receive(self, call: Call) -> list[Received]:
        parameters = call.parameters
        queue = self._queue(call)
        asked = whole(parameters, "MaxNumberOfMessages", 1, 10) or 1
        wait_seconds = whole(parameters, "WaitTimeSeconds", 0, 20)
        if wait_seconds is None:
            wait_seconds = queue.attributes.wait_seconds
        at_most, lease_seconds = call.injected.at_most(asked), visibility(parameters)
        received = queue.receive(at_most, lease_seconds)
        if not received and wait_seconds:
            received = await self._poll(call, wait_seconds, at_most, lease_seconds)
        elif not received and queue.full and not queue.attributes.fifo:
            # Only a short poll is told; a long one, and any of a FIFO queue, comes back empty.
            raise SqsError("OverLimit", "Too many messages in flight.", status=403)
        if call.injected.delivers_again:
            for message, _ in received:
                queue.expose(message)
        self._journal.write(
            call.action,
            queue.name,
            [message.id for message, _ in received],
            "ok" if received else "empty",
        )
        return received

    async def _poll(
        self, call: Call, wait_seconds: int, at_most: int, lease_seconds: int | None
    ) -> list[Received]:
        now = asyncio.get_running_loop().time
        end = now() + wait_seconds
        while (left := end - now()) > 0 and not self._polls_end:
            await self._queues.wait(self._queue(call), left)
            # Looked up again: the queue may have been deleted while we waited.
            if received := self._queue(call).receive(at_most, lease_seconds):
                return received
        return []

    def _queue(self, call: Call) -> Queue:
        return self._queues.find(text(call.parameters, "QueueUrl"))

    def _one(self, call: Call, action: "_EntryAction") -> Answer:
        queue = self._queue(call)
        message_id, answer = action(queue, call.parameters)
        self._journal.write(call.action, queue.name, [message_id])
        return answer

    def _run_batch(self, call: Call, entries: list[Answer], action: "_EntryAction") -> Answer:
        queue = self._queue(call)
        batch = Batch(call.action, queue.name, call.injected)
        batch.run(entries, lambda entry: action(queue, entry))
        return batch.answer(self._journal)


_EntryAction = Callable[[Queue, Parameters], tuple[str, Answer]]


def _send(queue: Queue, parameters: Parameters) -> tuple[str, Answer]:
    sending = read_sending(parameters, queue.attributes)
    sent = queue.send(sending)
    answer = {"MessageId": sent.message_id, "MD5OfMessageBody": md5_of(sending.body.encode())}
    if sending.attributes:
        answer["MD5OfMessageAttributes"] = md5_of_attributes(sending.attributes)
    if queue.attributes.fifo:
        answer["SequenceNumber"] = sent.sequence_number
    return sent.message_id, answer


def _delete(queue: Queue, parameters: Parameters) -> tuple[str, Answer]:
    return queue.delete(text(parameters, "ReceiptHandle")), {}


def _change_visibility(queue: Queue, parameters: Parameters) -> tuple[str, Answer]:
    seconds = visibility(parameters)
    if seconds is None:
        raise missing("VisibilityTimeout")
    return queue.change_visibility(text(parameters, "ReceiptHandle"), seconds), {}


def _check_size(entries: list[Answer]) -> None:
    if (size := sum(map(size_of_entry, entries))) > MAXIMUM_BYTES:
        limit = f"Batch requests cannot be longer than {MAXIMUM_BYTES} bytes."
        raise SqsError("BatchRequestTooLong", f"{limit} You have sent {size} bytes.")
