"""What is in flight here, and the heartbeat that keeps it invisible to other consumers.

A lease is tied to its message, not to the worker's life: it is extended while the message is
handled, through a drain, and until its delete is confirmed.
"""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any, Literal, NamedTuple

import structlog

from worker.clients.aws import (
    MAX_BATCH,
    MAX_VISIBILITY_SECONDS,
    EntryFailed,
    Message,
    Queue,
    QueueError,
)
from worker.intake.router import About, Opened, Source
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

SHORTEST_BEAT_SECONDS = 0.1
ARRIVAL_SECONDS = 3.0
"""For which a message is surely ours when it arrives, however long its receive was: three beats."""

HEARTBEAT = "ChangeMessageVisibility of the heartbeat"
LEASE_LOST = "lease_lost"
MARGIN_SECONDS = 1.0
"""A lease closer to its end than this is given up: another worker may hold the message already."""


NEWS_SECONDS = 60.0
"""Silence after which a failure that time alone may have ended is no news: on a quiet queue there
may be no other call for hours."""

DENIED_SECONDS = 900.0
"""The same for a denied action: only a person ends that."""


class Problem(NamedTuple):
    """What SQS refuses, until a call of that action goes through."""

    code: str
    since: float
    latest: float
    denied: bool

    def again(self, now: float, code: str, *, denied: bool) -> "Problem":
        """Return the problem after one more failure."""
        return Problem(code, self.since, now, denied)

    def holds(self, now: float, for_seconds: float) -> bool:
        """Return whether it lasted that long; one failure lasts for no time, unless it is a denial.

        Longer ago than a while it counts no more.
        """
        lasted = (now if self.denied else self.latest) - self.since
        known = now - self.latest < (DENIED_SECONDS if self.denied else NEWS_SECONDS)
        return known and lasted >= for_seconds


QUIET_SECONDS = 60.0
"""Between two log lines of one thing that fails."""

Problems = dict[str, Problem]
"""By action."""


def note_failure(problems: Problems, action: str, now: float, code: str, *, denied: bool) -> None:
    """Add a failure of an action."""
    first = Problem(code, now, now, denied)
    problems[action] = problems.get(action, first).again(now, code, denied=denied)


Phase = Literal["queued", "gate", "permit", "alone", "working", "settling"]
"""Where a message in flight is; `queued` behind the head of its FIFO group."""


# Not a struct of msgspec: to set one of its fields takes five times as long, and a dozen are set.
@dataclass(slots=True, eq=False, repr=False)
class Lease:
    """One message in flight, until when it is ours, and what is done with it. Times: the loop's."""

    message: Message
    source: Source
    """The queue it came from."""

    ends_at: float
    _clock: Callable[[], float]
    first_received_at: float
    began_at: float
    """When it entered its phase."""

    phase: Phase = "queued"
    task: asyncio.Task[None] | None = None
    """The task that may be cancelled; None before it starts and once the message settles."""

    why_cancelled: str | None = None
    settled: bool = False
    """Its end is decided; the heartbeat goes on for a delete and stops for a release."""

    beat: asyncio.Task[None] | None = None
    degrades_at: float = math.inf
    """When its job goes without what it may miss; known once it failed."""

    has_permit: bool = False
    begun: bool = False
    probe: bool = False
    """Chosen by the gate to find out whether an upstream is back."""

    failed_probes: int = 0
    attempts: int = 0
    """Failed attempts to delete it or to change its visibility."""

    ahead: Opened | None = None
    """What it was opened as with the others of its receive, until it is run: only of a message that
    came once, and is not traced."""

    about: About | None = None
    """Known from its first run on: before, the gate may choose it whatever its jobs are."""

    def __repr__(self) -> str:
        return f"Lease({self.message.id!r})"

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs that want it; empty before its first run."""
        return () if self.about is None else self.about.jobs

    @property
    def lost(self) -> bool:
        """Whether the message is no longer ours to settle."""
        return self.why_cancelled == LEASE_LOST

    def seconds_left(self) -> float:
        """Return the time until SQS gives the message to another consumer."""
        return max(0.0, self.ends_at - self._clock())

    def is_held(self) -> bool:
        """Whether the message is surely still ours; asked before each effect."""
        return self.why_cancelled is None and self._clock() < self.ends_at

    def enter(self, phase: Phase) -> None:
        """Enter a phase in which it may wait for long."""
        self.phase, self.began_at = phase, self._clock()

    def settle(self) -> None:
        """Begin to settle: its work is over, and nothing may be cancelled any more."""
        self.task, self.settled, self.phase = None, True, "settling"

    def cancel(self, why: str) -> None:
        """Stop the work, if some is under way, and remember why: `lease_lost` or `drain`."""
        self.why_cancelled = self.why_cancelled or why
        # Cancelled before its first step, a task would end without one: then it checks here itself.
        if self.task is not None and self.begun:
            self.task.cancel()

    def log_fields(self) -> Mapping[str, Any]:
        """Return what each log line about this message says."""
        about, jobs = self.about, self.jobs
        fields: dict[str, Any] = {"job": jobs[0]} if len(jobs) == 1 else {}
        if about is not None:
            fields["conversation_id"] = about.conversation_id
        fields["message_id"] = self.message.id
        fields["receive_count"] = self.message.receive_count
        if about is not None:
            fields["event_id"] = about.origin.event_id
            fields["correlation_id"] = about.origin.correlation_id
        return fields


class Leases:
    """All messages in flight of one queue, keyed by message id; `run` is the heartbeat."""

    def __init__(
        self, queue: Queue, source: Source, *, visibility_seconds: float, clock: Callable[[], float]
    ) -> None:
        self.visibility_seconds = visibility_seconds
        self._source = source
        self.problems: Problems = {}
        """What of the heartbeat fails now."""

        self._queue = queue
        self._clock = clock
        self.held: dict[str, Lease] = {}
        """By message id."""

        self._logged_at = -math.inf
        self._extended = metrics.visibility_extensions.labels("ok")

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self.held.values()))

    def hold(self, messages: Sequence[Message]) -> list[Lease | None]:
        """Begin the leases of one receive; None for a message that is in flight already.

        SQS may deliver a second copy while the first is worked on. It is not run beside it, and the
        newest receipt is kept: the older one may no longer delete.
        """
        if not messages:
            return []
        # Counted from the send of the receive. That may have been a long poll: then SQS gave the
        # message out just now, so it is ours on arrival, and is extended within a beat.
        received, whole = messages[0].received_at, self.visibility_seconds
        ends_at = max(received + whole, self._clock() + min(ARRIVAL_SECONDS, whole))
        begun: list[Lease | None] = []
        for message in messages:
            if (held := self.held.get(message.id)) is not None:
                # And not as opened: by now it came before, and may have ended another worker.
                held.message, held.ends_at, held.ahead = message, ends_at, None
                begun.append(None)
                continue
            lease = Lease(message, self._source, ends_at, self._clock, received, received)
            self.held[message.id] = lease
            begun.append(lease)
        return begun

    def forget(self, lease: Lease) -> None:
        """End a lease: its message is deleted, visible again, or lost."""
        if self.held.get(lease.message.id) is lease:
            del self.held[lease.message.id]

    async def still(self, lease: Lease) -> None:
        """Take a lease out of the heartbeat and wait for a beat under way.

        Otherwise a late beat would overwrite the backoff that is about to be set.
        """
        self.forget(lease)
        if lease.beat is not None:
            await asyncio.wait({lease.beat})

    def at_most(self, lease: Lease, seconds: float) -> int:
        """Return what may be asked for: SQS refuses, and does not clamp, what passes 12 hours."""
        held_for = self._clock() - lease.first_received_at
        # Up: a backoff of half a second cut to none would come straight back.
        return max(0, min(ceil(seconds), int(MAX_VISIBILITY_SECONDS - held_for - 1)))

    async def run(self) -> None:
        """Extend what is half used up, for ever."""
        while True:
            await self.extend_due()
            # Not 0: the visibility timeout of a queue may be set to 0 while we run.
            await asyncio.sleep(max(SHORTEST_BEAT_SECONDS, min(1.0, self.visibility_seconds / 10)))

    async def extend_due(self) -> None:
        """Extend every lease of which half is gone, ten a call, the calls side by side."""
        horizon = self._clock() + self.visibility_seconds / 2
        due = sorted((x for x in self if x.ends_at <= horizon), key=lambda lease: lease.ends_at)
        rest = iter(due)
        beats = []
        while batch := list(islice(rest, MAX_BATCH)):
            beat = asyncio.create_task(self._extend(batch))
            for lease in batch:
                lease.beat = beat
            beats.append(beat)
        await asyncio.gather(*beats)
        for lease in due:
            lease.beat = None

    async def _extend(self, batch: Sequence[Lease]) -> None:
        began = self._clock()
        wanted = [self.at_most(lease, self.visibility_seconds) for lease in batch]
        pairs = [(x.message.receipt, s) for x, s in zip(batch, wanted, strict=True)]
        try:
            async with asyncio.timeout(self._time_limit(batch)):
                results = await self._queue.change_visibility(pairs)
        except (QueueError, TimeoutError) as error:
            code = error.code if isinstance(error, QueueError) else type(error).__name__
            metrics.visibility_extensions.labels("error").inc(len(batch))
            denied = isinstance(error, QueueError) and error.denied
            self._note_failure(code, denied=denied, messages=len(batch))
            self._give_up_the_late(batch)
            return
        self.problems.clear()
        for lease, (receipt, seconds), failed in zip(batch, pairs, results, strict=True):
            # A copy that came meanwhile brought a newer receipt, and a lease of its own.
            if lease.message.receipt == receipt:
                self._note(lease, failed, seconds, began=began)
        self._give_up_the_late(batch)

    def _note_failure(self, code: str, *, denied: bool, messages: int) -> None:
        """Keep what fails for /status; logged once a minute, not for each batch."""
        now = self._clock()
        note_failure(self.problems, HEARTBEAT, now, code, denied=denied)
        if now - self._logged_at >= QUIET_SECONDS:
            self._logged_at = now
            log.log(40 if denied else 30, "heartbeat_failed", code=code, messages=messages)

    def _time_limit(self, batch: Sequence[Lease]) -> float:
        """Return for how long a beat may wait: its messages must be given up while still ours.

        The SDK's own time-outs, twice over, are longer than half of a short visibility timeout.
        """
        return max(MARGIN_SECONDS, batch[0].ends_at - MARGIN_SECONDS - self._clock())

    def _note(
        self, lease: Lease, failed: EntryFailed | None, seconds: int, *, began: float
    ) -> None:
        if failed is None and seconds > 0:
            lease.ends_at = began + seconds
            self._extended.inc()
        elif failed is None or failed.lease_lost:
            self._lose(lease)
        else:
            metrics.visibility_extensions.labels("error").inc()

    def _give_up_the_late(self, batch: Sequence[Lease]) -> None:
        for lease in batch:
            if lease.ends_at - MARGIN_SECONDS <= self._clock():
                self._lose(lease)

    def _lose(self, lease: Lease) -> None:
        """Cancel the run: what it would still do, another worker may be doing."""
        if self.held.get(lease.message.id) is not lease:
            return
        self.forget(lease)
        if lease.settled:  # most likely the beat met our own delete
            lease.why_cancelled = LEASE_LOST
            return
        metrics.visibility_extensions.labels("lost").inc()
        log.warning("lease_lost", message_id=lease.message.id)
        lease.cancel(LEASE_LOST)
