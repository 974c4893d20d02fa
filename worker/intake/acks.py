"""The last word on a message, in batches: delete it, or show it again later.

Each entry of a batch has its own answer. A delete that SQS refuses is tried again while the lease
lives, and its message is remembered: if it comes again it is deleted, not run.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from random import Random

import structlog

from worker.intake.leases import Lease, Leases
from worker.intake.queue import MAX_BATCH, EntryFailed, Queue, QueueError, Results
from worker.resilience.batcher import Batcher
from worker.resilience.retry import full_jitter
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

REMEMBERED = 10_000
"""Ids of finished messages kept, the newest; as many again of those whose delete failed."""

DELETES_AT_ONCE = 16
"""Calls: four would hold a busy worker to 2,000 messages a second at a round trip of 20 ms."""

RELEASE_ATTEMPTS = 3


class Acks:
    """Deletes and visibility changes of messages in hand."""

    def __init__(
        self, queue: Queue, leases: Leases, *, flush_seconds: float, random: Random
    ) -> None:
        self._queue = queue
        self._leases = leases
        self._random = random
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._undeleted: OrderedDict[str, None] = OrderedDict()
        """Finished ones that will come again. Apart: a busy worker finishes ten thousand others
        before a visibility timeout is over."""

        self._deletes: Batcher[Lease, None] = Batcher(
            self._delete_batch,
            max_items=MAX_BATCH,
            max_wait_seconds=flush_seconds,
            max_concurrent=DELETES_AT_ONCE,
        )
        self._shows: Batcher[tuple[Lease, int], None] = Batcher(
            self._show_batch, max_items=MAX_BATCH, max_wait_seconds=flush_seconds
        )

    def finished(self, message_id: str) -> bool:
        """Whether this message was done here before, so that a copy is only to be deleted."""
        return message_id in self._finished or message_id in self._undeleted

    async def delete(self, lease: Lease) -> bool:
        """Delete a finished message; True when SQS confirmed it, False when the lease is gone."""
        _remember(self._finished, lease.message.id)
        attempt = 0
        while not lease.lost:
            failed = await _failure_of(self._deletes.submit(lease))
            if failed is None:
                self._leases.forget(lease)
                return True
            attempt += 1
            if not await self._again(lease, failed, attempt):
                break
        _remember(self._undeleted, lease.message.id)
        self._leases.forget(lease)
        return False

    async def show_again(self, lease: Lease, seconds: float) -> bool:
        """Make the message visible `seconds` from now; False when that could not be said to SQS.

        It then comes back when its visibility timeout ends, which is later, but not lost.
        """
        await self._leases.still(lease)
        for attempt in range(1, RELEASE_ATTEMPTS + 1):
            shown = self._shows.submit((lease, self._leases.at_most(lease, seconds)))
            failed = await _failure_of(shown)
            if failed is None:
                return True
            if not await self._again(lease, failed, attempt):
                break
        return False

    async def close(self) -> None:
        """Send what waits for company, and wait for the answers."""
        await self._deletes.close()
        await self._shows.close()

    async def _again(self, lease: Lease, failed: EntryFailed, attempt: int) -> bool:
        """Count a failed entry, wait, and tell whether another try makes sense."""
        metrics.ack_failures.labels("sender" if failed.sender_fault else "service").inc()
        log.warning("ack_failed", message_id=lease.message.id, code=failed.code, attempt=attempt)
        if failed.sender_fault or failed.lease_lost:
            return False
        await asyncio.sleep(full_jitter(attempt, base=0.2, cap=5, random=self._random))
        return True

    async def _delete_batch(self, leases: Sequence[Lease]) -> Results:
        # The receipt is read now, not at submit: a second copy may have brought a newer one.
        results = await self._queue.delete([lease.message.receipt for lease in leases])
        metrics.messages_acked.inc(results.count(None))
        return results

    async def _show_batch(self, wanted: Sequence[tuple[Lease, int]]) -> Results:
        return await self._queue.hide([(x.message.receipt, seconds) for x, seconds in wanted])


async def _failure_of(submission: Awaitable[None]) -> EntryFailed | None:
    """Wait for an entry; a call that failed as a whole failed each of its entries."""
    try:
        await submission
    except EntryFailed as failed:
        return failed
    except QueueError as error:
        return EntryFailed(error.code, sender_fault=False)
    return None


def _remember(ids: OrderedDict[str, None], message_id: str) -> None:
    ids[message_id] = None
    ids.move_to_end(message_id)
    if len(ids) > REMEMBERED:
        ids.popitem(last=False)
