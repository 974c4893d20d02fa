"""The idempotency store of all workers: what was done already, per job and dedupe key.

A claim has an owner and a lease. The lease is renewed while the handler runs; a handler whose lease
ends, or was taken over, is cancelled before another begins. A worker that was frozen past its lease
is a stale owner: it finds out at the latest when it marks its work as done, which is refused.

The table: one item per job and dedupe key, changed by its owner only. Partition key `id` (S):
`job|dedupe key`; `status`, `owner`, `conversationId` (S, when there is one), `claimedAt`,
`completedAt`, `leaseUntil` (N, milliseconds since the epoch) and the TTL `expiresAt` (N, seconds).
Every write has a condition, so no read is ever stale. For `worker trace` alone, an index has the
keys by conversation.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from worker.clients.aws.errors import aws_errors
from worker.errors import LeaseLost, Misconfigured, Permanent, Transient, WorkerError
from worker.events import Result
from worker.resilience import Guard, current_work, working_for
from worker.telemetry import metrics

T = TypeVar("T")
Operation = Callable[..., Awaitable[Any]]

IN_PROGRESS = "IN_PROGRESS"
DONE = "DONE"
REMEDY = "name a table with the partition key id (S) and no sort key, or none"

SKEW_SECONDS = 5.0
"""How far the clocks of two workers may be apart: a lease is taken over that much after its end.

A living owner renews each third of its lease, so its claim also stands when its clock is behind by
nearly two thirds. Further behind, it is taken over at work: its completion is refused, but what it
did by then stays done. A clock ahead only makes a dead owner's claim hold longer.
"""

FREE = (
    "attribute_not_exists(id) OR (#status = :running AND leaseUntil < :abandoned)"
    " OR expiresAt < :now"
)
"""TTL deletes late, by days: what has expired counts as gone before that."""


class Claim(Struct, frozen=True):
    """One piece of work of one owner; each attempt is an owner of its own."""

    id: str
    owner: str
    conversation_id: str | None = None
    """Written along, so that what was done for a conversation can be found."""


class Taken(Struct, frozen=True):
    """Another owner's record of the work that was to be claimed."""

    done: bool
    free_in_seconds: float
    """When its lease can be taken over at the latest; 0 for done work."""


class IdempotencyTable:
    """Conditional writes, by what they mean. All raise Transient when there is no answer."""

    def __init__(
        self,
        client: Any,
        name: str,
        guard: Guard,
        wall_clock: Callable[[], float],
        *,
        lease_seconds: float,
        retention_seconds: float,
    ) -> None:
        """`client`: DynamoDB. `wall_clock`: seconds since the epoch, as other workers see them."""
        self._client = client
        self._name = name
        self._guard = guard
        self._wall_clock = wall_clock
        self._lease_seconds = lease_seconds
        self._retention_seconds = retention_seconds

    async def claim(self, claim: Claim) -> Taken | None:
        """Take the work; what stands in the way, if anything does."""
        return await asked(self._guard, partial(self._claim, claim))

    async def renew(self, claim: Claim) -> bool:
        """Let the lease begin anew; False when the work is no longer the owner's."""
        return await self._if_mine(
            self._client.update_item,
            claim,
            UpdateExpression="SET leaseUntil = :until",
            values={":until": self._in(self._lease_seconds)},
        )

    async def complete(self, claim: Claim) -> bool:
        """Mark the work as done; False when it is no longer the owner's."""
        return await self._if_mine(
            self._client.update_item,
            claim,
            UpdateExpression="SET #status = :done, completedAt = :now, expiresAt = :expires",
            names={"#status": "status"},
            values={":done": {"S": DONE}, ":now": self._in(0), ":expires": self._expires_at()},
        )

    async def release(self, claim: Claim) -> bool:
        """Leave the work to the next; False when it is no longer the owner's."""
        return await self._if_mine(self._client.delete_item, claim)

    async def _claim(self, claim: Claim) -> Taken | None:
        now = self._wall_clock()
        with aws_errors("idempotency", "LEDGER_TABLE"):
            try:
                await self._client.put_item(
                    TableName=self._name,
                    Item=self._item(claim),
                    ConditionExpression=FREE,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":running": {"S": IN_PROGRESS},
                        ":abandoned": {"N": milliseconds(now - SKEW_SECONDS)},
                        ":now": {"N": str(int(now))},
                    },
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if not refused(error):
                    raise
                return self._taken(claim, error.response.get("Item", {}))
        return None

    def _item(self, claim: Claim) -> Mapping[str, Any]:
        found = claim.conversation_id
        return {
            **({"conversationId": {"S": found}} if found else {}),
            "id": {"S": claim.id},
            "status": {"S": IN_PROGRESS},
            "owner": {"S": claim.owner},
            "claimedAt": self._in(0),
            "leaseUntil": self._in(self._lease_seconds),
            "expiresAt": self._expires_at(),
        }

    def _taken(self, claim: Claim, item: Mapping[str, Any]) -> Taken | None:
        if item.get("owner") == {"S": claim.owner}:
            return None  # our own first attempt, whose reply was lost
        if item.get("status") == {"S": DONE}:
            return Taken(done=True, free_in_seconds=0)
        until = float(item.get("leaseUntil", {}).get("N", 0)) / 1000
        rest = until + SKEW_SECONDS - self._wall_clock()
        # Bounded: the lease may have been written by a clock that is hours off.
        most = self._lease_seconds + SKEW_SECONDS
        return Taken(done=False, free_in_seconds=min(most, max(1.0, rest)))

    async def _if_mine(
        self,
        operation: Operation,
        claim: Claim,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        **change: Any,
    ) -> bool:
        # The owner alone decides: a repeat after a lost reply finds its own mark, and agrees.
        change |= {
            "TableName": self._name,
            "Key": {"id": {"S": claim.id}},
            "ConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner", **(names or {})},
            "ExpressionAttributeValues": {":owner": {"S": claim.owner}, **(values or {})},
        }
        with without_lease():
            return await asked(self._guard, partial(changed, operation, change))

    def _in(self, seconds: float) -> Mapping[str, str]:
        return {"N": milliseconds(self._wall_clock() + seconds)}

    def _expires_at(self) -> Mapping[str, str]:
        return {"N": str(int(self._wall_clock() + self._retention_seconds))}


async def asked(guard: Guard, call: Callable[[], Awaitable[T]]) -> T:
    """Call the table through its guard. Raises Transient: no message is at fault."""
    try:
        return await guard.call(call, repeatable=True)
    except Permanent as error:
        reason = error.reason
    raise Misconfigured(reason, setting="LEDGER_TABLE", remedy=REMEDY)


@contextmanager
def without_lease() -> Iterator[None]:
    """Let the block's calls pass although the message is another consumer's by now.

    What was done must be recorded then, too: the next owner would do it again. The condition on
    the owner is what protects the record.
    """
    with working_for(tuple(replace(work, holds_lease=_always) for work in current_work())):
        yield


def _always() -> bool:
    return True


async def changed(operation: Operation, change: Mapping[str, Any]) -> bool:
    """Write under a condition; False when it does not hold."""
    with aws_errors("idempotency", "LEDGER_TABLE"):
        try:
            await operation(**change)
        except ClientError as error:
            if not refused(error):
                raise
            return False
    return True


def refused(error: ClientError) -> bool:
    """Return whether it was a write's own condition that did not hold."""
    code: str = error.response.get("Error", {}).get("Code", "")
    return code == "ConditionalCheckFailedException"


def milliseconds(seconds: float) -> str:
    """Return a time as the table keeps it."""
    return str(int(seconds * 1000))


log = structlog.get_logger(__name__)

END_SECONDS = 3.0
"""Longest wait for the end of a claim that was broken off: without one it ends by its lease."""

BUSY_RETRY_SECONDS = 10.0
"""Longest wait for work of another worker; the message's own backoff grows beyond it."""

LOST = "idempotency: the claim was lost while the handler ran"


class IdempotencyStore:
    """Runs work once over all workers; while the table is down it fails closed, or open if set."""

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

        Raises Transient while another worker is at it, when the claim was lost, and, unless set to
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
        of the table stops no handler, only a refusal does.
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
    metrics.idempotency_outcomes.labels(outcome).inc()


def _now() -> float:
    return asyncio.get_running_loop().time()
