"""The queues of the server by name, URL and ARN, and the tasks that move dead letters between them.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

from worker.emulators.sqs.control import Journal
from worker.emulators.sqs.model import (
    Message,
    QueueAttributes,
    Sending,
    SqsError,
    invalid_value,
    queue_does_not_exist,
)
from worker.emulators.sqs.queue import Queue


class Changes:
    """A bell: all who wait are woken by the next ring."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait."""
        if self._waiting:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()

    async def wait(self, at_most_seconds: float | None) -> None:
        """Return at the next ring, or when the time is over; None waits for ever."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=at_most_seconds)
        finally:
            self._waiting.discard(waiting)


PURGE_PAUSE_SECONDS = 60

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")


@dataclass(slots=True)
class _Kept:
    queue: Queue
    changes: Changes
    created_at: int
    purged_at: float | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two times: `monotonic` for leases and delays, `wall` for timestamps."""

    monotonic: Callable[[], float]
    wall: Callable[[], float] = time.time


class Queues:
    """All queues; every change of one also rings the bell of all."""

    def __init__(self, clocks: Clocks, journal: Journal) -> None:
        self.base_url = ""
        """What queue URLs begin with; known once the server listens."""

        self.changes = Changes()
        self._clocks = clocks
        self._journal = journal
        self._kept: dict[str, _Kept] = {}

    def __iter__(self) -> Iterator[Queue]:
        return (kept.queue for kept in self._kept.values())

    def create(self, name: str, given: Mapping[str, str]) -> Queue:
        """Return a new queue, or the one there is when nothing given differs from it.

        Raises:
            SqsError: bad name or attribute, or `QueueNameExists` with other attributes.

        """
        _check_name(name, fifo=given.get("FifoQueue") == "true")
        if kept := self._kept.get(name):
            return _same(kept.queue, given)
        changes = Changes()
        queue = self._made(name, QueueAttributes.parse(given), changes)
        self._kept[name] = _Kept(queue, changes, int(self._clocks.wall()))
        return queue

    def _made(self, name: str, attributes: QueueAttributes, changes: Changes) -> Queue:
        queue = Queue(
            name,
            attributes,
            clock=self._clocks.monotonic,
            wall_clock=self._clocks.wall,
            changed=partial(self._ring, changes),
        )
        queue.redriven = lambda message_id: self._journal.write(
            "ReceiveMessage", name, [message_id], "redriven"
        )
        queue.dead_letters = self._dead_letters(queue, attributes)
        return queue

    def set_attributes(self, queue: Queue, given: Mapping[str, str]) -> None:
        """Change some attributes; leases and delays that run keep their end."""
        attributes = queue.attributes.changed(given)
        queue.dead_letters = self._dead_letters(queue, attributes)
        queue.attributes = attributes
        self.ring(queue)

    def find(self, url: str) -> Queue:
        """Return the queue of a URL; only its last part counts, whatever the host.

        Raises:
            SqsError: `QueueDoesNotExist`.

        """
        return self._find(url).queue

    def by_arn(self, arn: str) -> Queue | None:
        """Return the queue with this ARN."""
        kept = self._kept.get(arn.rpartition(":")[2])
        return kept.queue if kept and kept.queue.arn == arn else None

    def url(self, queue: Queue) -> str:
        """Return the queue's URL."""
        return f"{self.base_url}/000000000000/{queue.name}"

    def created_at(self, queue: Queue) -> int:
        """Return when the queue was made, in seconds since 1970."""
        return self._kept[queue.name].created_at

    def sources(self, dead_letters: Queue) -> list[Queue]:
        """Return the queues whose dead letters go to this one."""
        return [queue for queue in self if queue.dead_letters is dead_letters]

    def delete(self, url: str) -> None:
        """Drop the queue and all it holds; running receives end with an error."""
        queue = self.find(url)
        for source in self.sources(queue):
            source.dead_letters = None
        kept = self._kept.pop(queue.name)
        self._ring(kept.changes)

    def purge(self, url: str) -> None:
        """Drop all messages, at most once a minute.

        Raises:
            SqsError: `PurgeQueueInProgress`.

        """
        kept, now = self._find(url), self._clocks.monotonic()
        if kept.purged_at is not None and now - kept.purged_at < PURGE_PAUSE_SECONDS:
            what = f"Only one PurgeQueue operation on {kept.queue.name} is allowed"
            raise SqsError("PurgeQueueInProgress", f"{what} every {PURGE_PAUSE_SECONDS} seconds.")
        kept.purged_at = now
        kept.queue.purge()

    def ring(self, queue: Queue) -> None:
        """Wake the receives that wait for this queue."""
        self._ring(self._kept[queue.name].changes)

    def ring_all(self) -> None:
        """Wake all receives that wait."""
        for kept in self._kept.values():
            self._ring(kept.changes)

    async def wait(self, queue: Queue, at_most_seconds: float) -> None:
        """Return when the queue changed, when a message of it comes back, or at the time."""
        due = queue.seconds_to_next_due()
        seconds = at_most_seconds if due is None else min(at_most_seconds, due)
        await self._kept[queue.name].changes.wait(_not_at_once(seconds))

    async def wait_for_any(self) -> None:
        """Return when any queue changed, or a message of any comes back."""
        dues = [due for queue in self if (due := queue.seconds_to_next_due()) is not None]
        await self.changes.wait(_not_at_once(min(dues)) if dues else None)

    def _ring(self, changes: Changes) -> None:
        changes.ring()
        self.changes.ring()

    def _find(self, url: str) -> _Kept:
        kept = self._kept.get(url.rpartition("/")[2])
        if kept is None:
            raise queue_does_not_exist()
        return kept

    def _dead_letters(self, queue: Queue, attributes: QueueAttributes) -> Queue | None:
        policy = attributes.redrive_policy
        if policy is None:
            return None
        target = self.by_arn(policy.dead_letter_target_arn)
        if target is None:
            reason = "Dead letter target does not exist."
            raise invalid_value(policy.dead_letter_target_arn, "RedrivePolicy", reason)
        if target.attributes.fifo is not queue.attributes.fifo:
            reason = "Dead-letter queue must be same type of queue as the source."
            raise invalid_value(policy.dead_letter_target_arn, "RedrivePolicy", reason)
        return target


def _not_at_once(seconds: float) -> float:
    # Rounding may leave a due time a hair ahead; a sleep of that hair would be a busy loop.
    return max(seconds, 0.001)


def _check_name(name: str, *, fifo: bool) -> None:
    if not _NAME.fullmatch(name) or name.endswith(".fifo") is not fifo:
        raise SqsError(
            "InvalidParameterValueException",
            "Can only include alphanumeric characters, hyphens, or underscores. "
            "1 to 80 in length; the name of a FIFO queue, and of no other, ends in .fifo",
        )


def _same(queue: Queue, given: Mapping[str, str]) -> Queue:
    for name, value in given.items():
        if queue.attributes.values.get(name) != value:
            what = f"A queue already exists with the same name and a different value for {name}"
            raise SqsError("QueueNameExists", what)
    return queue


_HISTORY = 10


@dataclass(slots=True)
class _Task:
    handle: str
    source: Queue
    destination_arn: str | None
    to_move: int
    started_at_milliseconds: int
    per_second: int | None = None
    moved: int = 0
    status: str = "RUNNING"
    failure: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return the entry of `ListMessageMoveTasks`; only a running task has a handle."""
        described = {
            "TaskHandle": self.handle if self.status == "RUNNING" else None,
            "Status": self.status,
            "SourceArn": self.source.arn,
            "DestinationArn": self.destination_arn,
            "MaxNumberOfMessagesPerSecond": self.per_second,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "FailureReason": self.failure,
            "StartedTimestamp": self.started_at_milliseconds,
        }
        return {name: value for name, value in described.items() if value is not None}


class MoveTasks:
    """Starts, lists and cancels move tasks; without a rate, one is done before it is answered."""

    def __init__(self, queues: Queues, wall_clock: Callable[[], float]) -> None:
        self._queues = queues
        self._wall_clock = wall_clock
        self._tasks: list[_Task] = []
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(self, source_arn: str, destination_arn: str | None, per_second: int | None) -> str:
        """Start moving what is visible now; returns the task's handle.

        Raises:
            SqsError: the source is no dead-letter queue, or has a running task.

        """
        source = self._dead_letter_queue(source_arn)
        if destination_arn is not None and self._queues.by_arn(destination_arn) is None:
            raise _not_found("The resource that you specified for DestinationArn doesn't exist.")
        if any(task.source is source and task.status == "RUNNING" for task in self._tasks):
            raise SqsError("UnsupportedOperation", "There is already a task running.")
        task = _Task(
            handle=str(uuid4()),
            source=source,
            destination_arn=destination_arn,
            to_move=source.depth().visible,
            started_at_milliseconds=int(self._wall_clock() * 1000),
            per_second=per_second,
        )
        self._tasks.append(task)
        self._run(task)
        return task.handle

    def describe(self, source_arn: str, at_most: int) -> list[dict[str, Any]]:
        """Return the newest tasks of a source, newest first."""
        source = self._dead_letter_queue(source_arn)
        tasks = [task for task in reversed(self._tasks) if task.source is source]
        return [task.describe() for task in tasks[: min(at_most, _HISTORY)]]

    def cancel(self, handle: str) -> int:
        """Stop a running task; returns how many messages it moved, and they stay moved.

        Raises:
            SqsError: `ResourceNotFoundException`, no running task has that handle.

        """
        task = next((task for task in self._tasks if task.handle == handle), None)
        if task is None or task.status != "RUNNING":
            raise _not_found("Task does not exist.")
        task.status = "CANCELLED"
        self._running[handle].cancel()
        return task.moved

    async def aclose(self) -> None:
        """Stop all that run."""
        running = list(self._running.values())
        for job in running:
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _run(self, task: _Task) -> None:
        if task.per_second is None:
            self._move(task, task.to_move)
            return
        job = asyncio.get_running_loop().create_task(self._run_slowly(task, task.per_second))
        self._running[task.handle] = job
        job.add_done_callback(lambda _: self._running.pop(task.handle, None))

    async def _run_slowly(self, task: _Task, per_second: int) -> None:
        while True:
            self._move(task, per_second)
            if task.status != "RUNNING":
                return
            await asyncio.sleep(1)

    def _move(self, task: _Task, at_most: int) -> None:
        for _ in range(min(at_most, task.to_move - task.moved)):
            if not self._move_one(task):
                return
        if task.moved >= task.to_move:
            task.status = "COMPLETED"

    def _move_one(self, task: _Task) -> bool:
        message = task.source.take_away()
        if message is None:
            task.status = "COMPLETED"
            return False
        destination = self._destination(task, message)
        if destination is None:
            task.source.put_back(message)
            task.status, task.failure = "FAILED", "CouldNotDetermineMessageSource"
            return False
        destination.send(_anew(message, destination))
        task.moved += 1
        return True

    def _destination(self, task: _Task, message: Message) -> Queue | None:
        arn = task.destination_arn or message.dead_letter_source_arn
        return self._queues.by_arn(arn) if arn else None

    def _dead_letter_queue(self, arn: str) -> Queue:
        queue = self._queues.by_arn(arn)
        if queue is None:
            raise _not_found("The resource that you specified for SourceArn doesn't exist.")
        if not self._queues.sources(queue):
            reason = "Source queue must be configured as a Dead Letter Queue."
            raise invalid_value(arn, "SourceArn", reason)
        return queue


def _anew(message: Message, destination: Queue) -> Sending:
    # A new message to all intents: new id, age and receive count. A new deduplication id, too:
    # with its old one a FIFO queue that still remembers it would take it for a repeat.
    deduplication_id = message.id if destination.attributes.fifo else None
    return replace(message.sent, deduplication_id=deduplication_id, delay_seconds=0)


def _not_found(message: str) -> SqsError:
    return SqsError("ResourceNotFoundException", message, status=404)
