"""The table of the idempotency store: one item per job and dedupe key, changed by its owner only.

Partition key `id` (S): `job|dedupe key`; `status`, `owner`, `conversationId` (S, when there is
one), `leaseUntil` (N, milliseconds since the epoch) and the TTL `expiresAt` (N, seconds). Every
write has a condition, so no read is ever stale.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from worker.clients.aws.errors import aws_errors
from worker.errors import Misconfigured, Permanent
from worker.resilience.guard import Guard
from worker.resilience.work import current_work, working_for

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


@dataclass(frozen=True, slots=True)
class Claim:
    """One piece of work of one owner; each attempt is an owner of its own."""

    id: str
    owner: str
    conversation_id: str | None = None
    """Written along, so that what was done for a conversation can be found."""


@dataclass(frozen=True, slots=True)
class Taken:
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
            values={":until": {"N": self._lease_until()}},
        )

    async def complete(self, claim: Claim) -> bool:
        """Mark the work as done; False when it is no longer the owner's."""
        return await self._if_mine(
            self._client.update_item,
            claim,
            UpdateExpression="SET #status = :done, expiresAt = :expires",
            names={"#status": "status"},
            values={":done": {"S": DONE}, ":expires": {"N": self._expires_at()}},
        )

    async def release(self, claim: Claim) -> bool:
        """Leave the work to the next; False when it is no longer the owner's."""
        return await self._if_mine(self._client.delete_item, claim)

    async def _claim(self, claim: Claim) -> Taken | None:
        now = self._wall_clock()
        with aws_errors("ledger"):
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
            "leaseUntil": {"N": self._lease_until()},
            "expiresAt": {"N": self._expires_at()},
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

    def _lease_until(self) -> str:
        return milliseconds(self._wall_clock() + self._lease_seconds)

    def _expires_at(self) -> str:
        return str(int(self._wall_clock() + self._retention_seconds))


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
    with aws_errors("ledger"):
        try:
            await operation(**change)
        except ClientError as error:
            if not refused(error):
                raise
            return False
    return True


def refused(error: ClientError) -> bool:
    """Tell whether it was a write's own condition that did not hold."""
    code: str = error.response.get("Error", {}).get("Code", "")
    return code == "ConditionalCheckFailedException"


def milliseconds(seconds: float) -> str:
    """Return a time as the table keeps it."""
    return str(int(seconds * 1000))
