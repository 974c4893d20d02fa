"""The idempotency store of all workers: what was done already, per job and dedupe key.

A claim has an owner and a lease. The lease is renewed while the handler runs; a handler whose lease
ends, or was taken over, is cancelled before another begins. A worker that was frozen past its lease
is a stale owner: it finds out at the latest when it marks its work as done, which is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from uuid import uuid4

import structlog

from worker.clients.aws.idempotency_table import Claim, IdempotencyTable
from worker.errors import LeaseLost, Transient, WorkerError
from worker.events.result import Result
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

END_SECONDS = 3.0
"""Longest wait for the end of a claim that was broken off: without one it ends by its lease."""

BUSY_RETRY_SECONDS = 10.0
"""Longest wait for work of another worker; the message's own backoff grows beyond it."""

LOST = "idempotency: the claim was lost while the handler ran"


class IdempotencyStore:
    """Runs work once over all workers; while the table is down it fails closed, or open if told."""

    def __init__(self, table: IdempotencyTable, lease_seconds: float, *, fail_open: bool) -> None:
        self._table = table
        self._lease_seconds = lease_seconds
        self._fail_open = fail_open
        self._process = uuid4().hex
        self._numbers = count(1)

    async def once(
        self,
        job: str,
        dedupe_key: str,
        run: Callable[[], Awaitable[Result]],
        *,
        conversation_id: str | None = None,
    ) -> Result:
        """Run unless it was done before: `Result.DUPLICATE` then.

        Raises Transient while another worker is at it, when the claim was lost, and, unless told to
        fail open, when the table does not answer; else whatever `run` raises.
        """
        owner = f"{self._process}-{next(self._numbers)}"
        claim = Claim(f"{job}|{dedupe_key}", owner, conversation_id)
        began = _now()
        try:
            taken = await self._table.claim(claim)
        except asyncio.CancelledError:
            await _briefly(self._table.release(claim))  # it may have been written
            raise
        except LeaseLost:
            raise  # no reason to run without a claim: it must not run here at all
        except Transient as error:
            return await self._unclaimed(error, run)
        if taken is None:
            _count("claimed")
            return await self._claimed(claim, began, run)
        if taken.done:
            _count("done")
            return Result.DUPLICATE
        _count("busy")
        # Not the whole lease: it mostly ends soon, with the handler, and not by a silent worker.
        wait = min(taken.free_in_seconds, BUSY_RETRY_SECONDS)
        raise Transient("a copy of this event is being handled", retry_after=wait)

    async def _unclaimed(self, error: Transient, run: Callable[[], Awaitable[Result]]) -> Result:
        _count("unavailable")
        if not self._fail_open:
            raise error
        log.warning("idempotency_bypassed", reason=error.reason)
        return await run()

    async def _claimed(
        self, claim: Claim, began: float, run: Callable[[], Awaitable[Result]]
    ) -> Result:
        has_run = False
        try:
            async with self._leased(claim, began):
                result = await run()
                has_run = True
            mine = await self._complete(claim)
        except BaseException:
            # Cancelled after its effects, it is done: a copy must not have them again.
            await _briefly((self._table.complete if has_run else self._table.release)(claim))
            raise
        if not mine:
            _report_stale("completion")
            raise Transient(LOST)
        return result

    @asynccontextmanager
    async def _leased(self, claim: Claim, began: float) -> AsyncIterator[None]:
        """Keep the lease for the block, or cancel the block: Transient then."""
        try:
            async with asyncio.timeout_at(self._must_end(began)) as lease:
                renewal = asyncio.create_task(self._renew(claim, lease))
                try:
                    yield
                finally:
                    renewal.cancel()
                    await asyncio.wait({renewal})
        except TimeoutError:
            if not lease.expired():
                raise  # the handler's own
            log.warning("idempotency_claim_lost")
            raise Transient(LOST) from None

    async def _renew(self, claim: Claim, lease: asyncio.Timeout) -> None:
        pause = self._lease_seconds / 3
        while not lease.expired():
            await asyncio.sleep(pause)
            began = _now()
            try:
                mine = await self._table.renew(claim)
            except WorkerError as error:
                # No answer is no refusal: asked again until the lease ends by itself.
                _count("unavailable")
                log.warning("idempotency_renewal_failed", reason=str(error))
                pause = self._lease_seconds / 10
                continue
            if lease.expired():
                return
            if not mine:
                _report_stale("renewal")
                lease.reschedule(_now())
                return
            lease.reschedule(self._must_end(began))
            pause = self._lease_seconds / 3

    def _must_end(self, began: float) -> float | None:
        """Return when the handler must have stopped: a tenth before others see the lease end.

        Counted from before the call, by the monotonic clock. None when failing open: then silence
        of the table stops nobody, only a refusal does.
        """
        return None if self._fail_open else began + 0.9 * self._lease_seconds

    async def _complete(self, claim: Claim) -> bool:
        """Record the work as done; False when it is another's by now."""
        try:
            return await self._table.complete(claim)
        except WorkerError as error:
            # Not raised: the effects are there, and a retry would surely repeat them.
            _count("unavailable")
            log.warning("idempotency_completion_failed", reason=str(error))
            return True


async def _briefly(end: Awaitable[bool]) -> None:
    with suppress(WorkerError, TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await end


def _report_stale(when: str) -> None:
    _count("stale_owner")
    log.warning("idempotency_stale_owner", refused=when)


def _count(outcome: str) -> None:
    metrics.ledger_outcomes.labels(outcome).inc()


def _now() -> float:
    return asyncio.get_running_loop().time()
