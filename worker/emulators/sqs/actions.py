"""The actions on messages and on queues, each through the fault plan and into the journal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from worker.emulators.sqs.control import (
    Deny,
    Drip,
    FaultPlan,
    Injected,
    Journal,
    Refuse,
    Reset,
    Silence,
)
from worker.emulators.sqs.model import (
    SETTABLE,
    Received,
    SqsError,
    access_denied,
    md5_of,
    md5_of_attributes,
    missing,
)
from worker.emulators.sqs.protocol import (
    Batch,
    Parameters,
    check_size,
    check_system_names,
    names,
    optional_text,
    read_entries,
    read_sending,
    render_queue,
    render_received,
    text,
    visibility,
    whole,
)
from worker.emulators.sqs.queue import Queue
from worker.emulators.sqs.queues import MoveTasks, Queues

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
        check_size(entries)
        return self._run_batch(call, entries, _send)

    async def receive_message(self, call: Call) -> Answer:
        """Give out up to ten messages, or wait for one; `Messages` is absent without any.

        A client that hangs up while it waits is not noticed: what comes then is leased to
        no client until its visibility timeout, as it happens with SQS.
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
            # Only a short poll gets the error; a long one, and any of a FIFO queue, is empty.
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


class QueueActions:
    """The actions on queues, each a method of SQS's name in snake case."""

    def __init__(self, queues: Queues, moves: MoveTasks) -> None:
        self._queues = queues
        self._moves = moves

    async def create_queue(self, call: Call) -> Answer:
        """Make a queue, or find the same one."""
        given = call.parameters.get("Attributes") or {}
        queue = self._queues.create(text(call.parameters, "QueueName"), given)
        return {"QueueUrl": self._queues.url(queue)}

    async def get_queue_url(self, call: Call) -> Answer:
        """Find a queue by name."""
        queue = self._queues.find(text(call.parameters, "QueueName"))
        return {"QueueUrl": self._queues.url(queue)}

    async def list_queues(self, call: Call) -> Answer:
        """List queues by prefix, in pages when `MaxResults` asks for them."""
        prefix = optional_text(call.parameters, "QueueNamePrefix") or ""
        after = optional_text(call.parameters, "NextToken") or ""
        at_most = whole(call.parameters, "MaxResults", 1, 1000)
        found = sorted(
            (queue for queue in self._queues if queue.name.startswith(prefix)),
            key=lambda queue: queue.name,
        )
        rest = [queue for queue in found if queue.name > after]
        page = rest[:at_most]
        more = {"NextToken": page[-1].name} if len(page) < len(rest) else {}
        return ({"QueueUrls": [self._queues.url(queue) for queue in page]} if page else {}) | more

    async def get_queue_attributes(self, call: Call) -> Answer:
        """Return the attributes asked for; `Attributes` is absent when none has a value."""
        queue = self._queue(call)
        values = render_queue(queue, self._queues.created_at(queue))
        if (in_flight := call.injected.in_flight) is not None:
            values["ApproximateNumberOfMessagesNotVisible"] = str(in_flight)
        wanted = names(call.parameters, "AttributeNames")
        if unknown := sorted(wanted - SETTABLE - values.keys() - {"All"}):
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
        chosen = (
            values if "All" in wanted else {name: values[name] for name in wanted & set(values)}
        )
        return {"Attributes": chosen} if chosen else {}

    async def set_queue_attributes(self, call: Call) -> Answer:
        """Set some attributes."""
        self._queues.set_attributes(self._queue(call), call.parameters.get("Attributes") or {})
        return {}

    async def purge_queue(self, call: Call) -> Answer:
        """Drop all messages."""
        self._queues.purge(text(call.parameters, "QueueUrl"))
        return {}

    async def delete_queue(self, call: Call) -> Answer:
        """Drop the queue."""
        self._queues.delete(text(call.parameters, "QueueUrl"))
        return {}

    async def list_dead_letter_source_queues(self, call: Call) -> Answer:
        """List the queues that send their dead letters here; the key is in lower case."""
        sources = self._queues.sources(self._queue(call))
        return {"queueUrls": [self._queues.url(queue) for queue in sources]}

    async def start_message_move_task(self, call: Call) -> Answer:
        """Start moving dead letters."""
        parameters = call.parameters
        handle = self._moves.start(
            text(parameters, "SourceArn"),
            optional_text(parameters, "DestinationArn"),
            whole(parameters, "MaxNumberOfMessagesPerSecond", 1, 500),
        )
        return {"TaskHandle": handle}

    async def list_message_move_tasks(self, call: Call) -> Answer:
        """List the move tasks of a dead-letter queue, newest first."""
        at_most = whole(call.parameters, "MaxResults", 1, 10) or 1
        return {"Results": self._moves.describe(text(call.parameters, "SourceArn"), at_most)}

    async def cancel_message_move_task(self, call: Call) -> Answer:
        """Stop a running move task."""
        moved = self._moves.cancel(text(call.parameters, "TaskHandle"))
        return {"ApproximateNumberOfMessagesMoved": moved}

    def _queue(self, call: Call) -> Queue:
        return self._queues.find(text(call.parameters, "QueueUrl"))


_Action = Callable[[Call], Awaitable[Answer]]


class ResetWanted(Exception):
    """The fault plan wants the connection reset instead of an answer."""

    code = "reset"


class SilenceWanted(Exception):
    """The fault plan wants no answer at all."""

    code = "silence"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is answered, and how."""

    content: Answer | str
    drip: Drip | None = None


class Api:
    """All actions of SQS that are emulated."""

    def __init__(
        self, messages: MessageActions, queues: QueueActions, faults: FaultPlan, journal: Journal
    ) -> None:
        self._actions = _message_actions(messages) | _queue_actions(queues)
        self._faults = faults
        self._journal = journal

    async def __call__(self, action: str, parameters: Parameters) -> Outgoing:
        """Run the action.

        Raises:
            SqsError: by SQS's rules or by the fault plan.
            ResetWanted, SilenceWanted: by the fault plan.

        """
        queue_name = _queue_name(parameters)
        call = Call(action, parameters, self._faults.draw(action, queue_name))
        try:
            answer = await self._run(call)
        except (SqsError, ResetWanted, SilenceWanted) as error:
            self._journal.write(action, queue_name, outcome=error.code)
            raise
        says = call.injected.says
        return Outgoing(answer if says is None else says, call.injected.drip)

    async def _run(self, call: Call) -> Answer:
        action = self._actions.get(call.action)
        if action is None:
            raise SqsError("UnknownOperationException", "No such action.", status=404)
        if call.injected.delay_seconds:
            await asyncio.sleep(call.injected.delay_seconds)
        _refuse(call, after_effect=False)
        answer = await action(call)
        _refuse(call, after_effect=True)
        return answer


def _refuse(call: Call, *, after_effect: bool) -> None:
    match call.injected.refusal(after_effect=after_effect):
        case Reset():
            raise ResetWanted
        case Silence():
            raise SilenceWanted
        case Deny(action=action):
            # SQS writes its actions in lower case here, and the single one for a batch.
            own = f"sqs:{call.action.removesuffix('Batch').lower()}"
            raise access_denied(action or own, _queue_name(call.parameters))
        case Refuse(shape=shape, status=status):
            raise SqsError(shape, "Injected.", status=status)


def _queue_name(parameters: Parameters) -> str:
    return str(parameters.get("QueueUrl") or parameters.get("QueueName") or "").rpartition("/")[2]


def _message_actions(actions: MessageActions) -> dict[str, _Action]:
    return {
        "SendMessage": actions.send_message,
        "SendMessageBatch": actions.send_message_batch,
        "ReceiveMessage": actions.receive_message,
        "DeleteMessage": actions.delete_message,
        "DeleteMessageBatch": actions.delete_message_batch,
        "ChangeMessageVisibility": actions.change_message_visibility,
        "ChangeMessageVisibilityBatch": actions.change_message_visibility_batch,
    }


def _queue_actions(actions: QueueActions) -> dict[str, _Action]:
    return {
        "CreateQueue": actions.create_queue,
        "GetQueueUrl": actions.get_queue_url,
        "ListQueues": actions.list_queues,
        "GetQueueAttributes": actions.get_queue_attributes,
        "SetQueueAttributes": actions.set_queue_attributes,
        "PurgeQueue": actions.purge_queue,
        "DeleteQueue": actions.delete_queue,
        "ListDeadLetterSourceQueues": actions.list_dead_letter_source_queues,
        "StartMessageMoveTask": actions.start_message_move_task,
        "ListMessageMoveTasks": actions.list_message_move_tasks,
        "CancelMessageMoveTask": actions.cancel_message_move_task,
    }
