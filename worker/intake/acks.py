"""Deletes and visibility changes, ten a call, without a future or a task for each message.

Finished leases go to a list; ten of them, or what is there after a moment, are a call, and each
entry's result is handled there. A delete that fails is tried again while the lease lives, and its
message is remembered: if it comes again it is deleted, not run.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import islice
from random import Random
from typing import Any

import structlog

from worker.clients.aws import MAX_BATCH, EntryFailed, Queue, QueueError, Results
from worker.intake.leases import QUIET_SECONDS, Lease, Leases, Problems, note_failure
from worker.resilience import full_jitter
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

REMEMBERED = 10_000
"""Ids of finished messages kept at least, the newest; as many of those whose delete failed."""

CALLS_AT_ONCE = 16
"""Calls: four would hold a busy worker to 2,000 messages a second at a round trip of 20 ms."""

RELEASE_ATTEMPTS = 3

Settled = Callable[[Lease, bool], None]
"""Called for each settled message; True when it is gone from the queue."""


class Acks:
    """The ends of the messages of one queue."""

    def __init__(
        self,
        queue: Queue,
        leases: Leases,
        *,
        flush_seconds: float,
        random: Random,
        settled: Settled | None = None,
    ) -> None:
        self.problems: Problems = {}
        """What fails now, until a call of that action goes through."""

        self._queue = queue
        self._leases = leases
        self._flush_seconds = flush_seconds
        self._random = random
        self.settled = settled
        self._loop = asyncio.get_running_loop()
        self._logged: dict[str, float] = {}
        self._deletes: list[Lease] = []
        self._releases: list[tuple[Lease, float]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._again: set[asyncio.TimerHandle] = set()
        self._finished: dict[str, None] = {}
        self._undeleted: dict[str, None] = {}
        """Finished ones that will come again. Apart: a busy worker finishes ten thousand others
        before a visibility timeout is over."""

        self._acked = metrics.messages_acked.labels()
        self._age = metrics.message_age.labels()

    @property
    def outstanding(self) -> int:
        """Messages whose ack SQS has not confirmed yet, those being sent included."""
        return len(self._deletes) + len(self._releases) + len(self._calls) + len(self._again)

    def finished(self, message_id: str) -> bool:
        """Whether this message was done here before, so that a copy is only to be deleted."""
        return message_id in self._finished or message_id in self._undeleted

    def delete(self, lease: Lease) -> None:
        """Delete a finished message, soon."""
        self._finished[lease.message.id] = None
        self._deletes.append(lease)
        # Asked here: a call for each message is a 300th of all that it costs.
        if self._timer is None or len(self._deletes) >= MAX_BATCH:
            self._schedule(len(self._deletes))

    def release(self, lease: Lease, seconds: float) -> None:
        """Make the message visible `seconds` from now, soon.

        When SQS cannot be reached it becomes visible as its visibility timeout ends: later,
        but not lost.
        """
        # Out of the heartbeat now: a late beat would overwrite the backoff.
        self._leases.forget(lease)
        self._releases.append((lease, seconds))
        self._schedule(len(self._releases))

    def lost(self, lease: Lease) -> None:
        """Record the end of a message that is another consumer's by now: nothing is sent."""
        self._ended(lease, gone=False)

    def flush(self) -> None:
        """Send what waits, as far as calls are free; the rest when one ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._deletes and len(self._calls) < CALLS_AT_ONCE:
            batch, self._deletes = self._deletes[:MAX_BATCH], self._deletes[MAX_BATCH:]
            self._call(self._delete(batch))
        while self._releases and len(self._calls) < CALLS_AT_ONCE:
            some, self._releases = self._releases[:MAX_BATCH], self._releases[MAX_BATCH:]
            self._call(self._release(some))

    async def progress(self) -> None:
        """Wait until a call has ended, or was begun."""
        if self._calls:
            await asyncio.wait(self._calls, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(self._flush_seconds)

    async def close(self) -> None:
        """Send what waits, and wait until all of it is answered or given up."""
        while self.outstanding:
            self.flush()
            await self.progress()

    def _schedule(self, waiting: int) -> None:
        if waiting >= MAX_BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._flush_seconds, self.flush)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        call = self._loop.create_task(work, name="ack")
        self._calls.add(call)
        call.add_done_callback(self._called)

    def _called(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and (error := call.exception()) is not None:
            log.error("ack_call_failed", exc_info=error)
        if self._deletes or self._releases:
            self._schedule(max(len(self._deletes), len(self._releases)))

    async def _delete(self, leases: Sequence[Lease]) -> None:
        # The receipt is read now, not before: a second copy may have brought a newer one.
        receipts = [lease.message.receipt for lease in leases]
        results = await self._results(
            "DeleteMessage", self._queue.delete(receipts), entries=len(leases)
        )
        deleted = []
        for lease, failed in zip(leases, results, strict=True):
            if failed is None:
                deleted.append(lease)
            else:
                self._not_deleted(lease, failed)
        if deleted:
            self._deleted(deleted)
        _forget_oldest(self._finished)

    def _deleted(self, leases: Sequence[Lease]) -> None:
        now, held, ages, settled = time.time(), self._leases.held, self._age.pending, self.settled
        for lease in leases:
            message = lease.message
            if held.get(message.id) is lease:  # as `Leases.forget`, without the call for each
                del held[message.id]
            if (sent_at := message.sent_at) is not None:
                ages.append(now - sent_at if now > sent_at else 0.0)
            if settled is not None:
                settled(lease, True)  # noqa: FBT003  see Settled
        self._acked.value += len(leases)
        metrics.last_success.set(now)

    def _not_deleted(self, lease: Lease, failed: EntryFailed) -> None:
        if not lease.lost and self._is_worth_another(failed):
            self._later(lease, lambda: self.delete(lease))
            return
        self._undeleted[lease.message.id] = None
        _forget_oldest(self._undeleted)
        self._leases.forget(lease)
        self._ended(lease, gone=False)

    def _ended(self, lease: Lease, *, gone: bool) -> None:
        if self.settled is not None:
            self.settled(lease, gone)

    async def _release(self, some: Sequence[tuple[Lease, float]]) -> None:
        if beats := {lease.beat for lease, _ in some if lease.beat is not None}:
            await asyncio.wait(beats)
        entries = [(x.message.receipt, self._leases.at_most(x, seconds)) for x, seconds in some]
        results = await self._results(
            "ChangeMessageVisibility", self._queue.change_visibility(entries), entries=len(some)
        )
        for (lease, seconds), failed in zip(some, results, strict=True):
            if failed is None or not self._retry_release(lease, seconds, failed):
                self._ended(lease, gone=False)

    def _retry_release(self, lease: Lease, seconds: float, failed: EntryFailed) -> bool:
        again = self._is_worth_another(failed) and lease.attempts < RELEASE_ATTEMPTS
        if again:
            self._later(lease, lambda: self.release(lease, seconds))
        return again

    async def _results(
        self, action: str, call: Coroutine[Any, Any, Results], *, entries: int
    ) -> Results:
        """Await a call; one that failed as a whole failed each of its entries."""
        try:
            results = await call
        except QueueError as error:
            results = [EntryFailed.with_its_call(error)] * entries
        # A lost lease is refused, the action is not.
        if any(failed is None or failed.lease_lost for failed in results):
            self.problems.pop(action, None)
        elif failed := results[0]:
            self._note(action, failed)
        return results

    def _note(self, action: str, failed: EntryFailed) -> None:
        """Keep what fails for /status; logged once a minute, not for each message."""
        now = self._loop.time()
        note_failure(self.problems, action, now, failed.code, denied=failed.denied)
        if now - self._logged.get(action, float("-inf")) >= QUIET_SECONDS:
            self._logged[action] = now
            level = 40 if failed.denied else 30
            log.log(level, "ack_failed", action=failed.action or action, code=failed.code)

    @staticmethod
    def _is_worth_another(failed: EntryFailed) -> bool:
        metrics.ack_failures.labels("sender" if failed.sender_fault else "service").inc()
        return not (failed.sender_fault or failed.lease_lost)

    def _later(self, lease: Lease, again: Callable[[], None]) -> None:
        lease.attempts += 1
        pause = full_jitter(lease.attempts, base=0.2, cap=5, random=self._random)

        def run() -> None:
            self._again.discard(timer)
            again()

        timer = self._loop.call_later(pause, run)
        self._again.add(timer)


def _forget_oldest(ids: dict[str, None]) -> None:
    # The older half at once: an ordered mapping that drops one at a time takes ten times as long.
    if len(ids) > 2 * REMEMBERED:
        for oldest in tuple(islice(ids, REMEMBERED)):
            del ids[oldest]
