"""The queues of the server by name, URL and ARN, and how they hang together."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from worker.emulators.sqs.attributes import QueueAttributes
from worker.emulators.sqs.changes import Changes
from worker.emulators.sqs.errors import SqsError, invalid_value, queue_does_not_exist
from worker.emulators.sqs.journal import Journal
from worker.emulators.sqs.queue import Queue

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
        attributes = QueueAttributes.parse(given)
        changes = Changes()
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
        self._kept[name] = _Kept(queue, changes, int(self._clocks.wall()))
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
        """Wake whoever waits for this queue."""
        self._ring(self._kept[queue.name].changes)

    def ring_all(self) -> None:
        """Wake whoever waits for any queue."""
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
