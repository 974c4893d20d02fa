"""Message move tasks: dead letters back to where they came from, or to a queue of choice.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from worker.emulators.sqs.errors import SqsError, invalid_value
from worker.emulators.sqs.message import Message, Sending
from worker.emulators.sqs.queue import Queue
from worker.emulators.sqs.queues import Queues

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
            SqsError: `ResourceNotFoundException`, there is no such running task.

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
