"""The fleet's request budget as items of a DynamoDB table: one for each client and minute.

Partition key `id` (S): `budget|client id|minute`. `used` (N): slots that were drawn or are over.
`waited` (N): seconds that the replica had waited which drew last. `expiresAt` (N, seconds): TTL.
Every change has a condition on `used`, so two replicas never get the same slot.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any

from botocore.exceptions import ClientError

from worker.clients.aws.idempotency import refused
from worker.clients.aws.session import AwsService
from worker.clients.aws.sqs import answered_at
from worker.resilience.fleet import NOWHERE, Answer, Draw, Position

KEPT_SECONDS = 3600
"""Life of an item: long enough for people to read it."""

DRIFT = 1e-4
"""Seconds by which two clocks may part in a second; monotonic clocks keep a tenth of it."""

DRAW = "SET used = if_not_exists(used, :first) + :slots, waited = :waited, expiresAt = :expires"
FREE = "attribute_not_exists(used) OR used BETWEEN :first AND :last"
SKIP = "SET used = :after, waited = :waited, expiresAt = :expires"
NEVER = "attribute_exists(id) AND attribute_not_exists(id)"
OVER = "attribute_not_exists(used) OR used < :first"


class TableClock:
    """The table's clock, seen from here; seconds since the epoch.

    A `Date` has no fractions, so each reply gives an interval, and what they have in common is
    narrow after a few. The wall clock is believed within it.
    """

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        """`clock`: monotonic, so that a step of the wall clock moves no slot."""
        self.is_known = False
        self._clock = clock
        self._wall_clock = wall_clock
        self._offset = wall_clock() - clock()
        self._low, self._high = -inf, inf
        self._heard_at = clock()

    def now(self) -> float:
        """Return the table's time."""
        return self._clock() + self._offset

    def heard(self, date: float, asked_at: float) -> None:
        """Take the `Date` of a reply that came now to what was asked at `asked_at`."""
        self.is_known = True
        now = self._clock()
        low, high = date - now, date + 1 - asked_at
        drift = (now - self._heard_at) * DRIFT
        self._low, self._high = max(low, self._low - drift), min(high, self._high + drift)
        if self._low > self._high:
            self._low, self._high = low, high  # one of the two clocks was put
        self._heard_at = now
        wall = self._wall_clock() - now
        inside = self._low <= wall <= self._high
        self._offset = wall if inside else (self._low + self._high) / 2


class DynamoBudget:
    """The budget of one OAuth client; `worker.resilience.fleet.BudgetTable`."""

    def __init__(self, dynamodb: AwsService, table: str, client_id: str, clock: TableClock) -> None:
        """`dynamodb`: of one attempt a call, as a lost reply must not make a second draw."""
        self._dynamodb = dynamodb
        self._table = table
        self._client_id = client_id
        self._clock = clock

    def now(self) -> float:
        """Return the table's time."""
        return self._clock.now()

    async def draw(self, draw: Draw, slots: int, waited: float) -> Answer:
        """Draw slots. Raises Transient, also for what a person has to change (Misconfigured)."""
        if not self._clock.is_known:
            return await self._greeting(draw.minute)
        values = {":first": _number(draw.first), ":waited": _number(round(waited, 1))}
        values[":expires"] = _number(draw.minute * 60 + KEPT_SECONDS)
        if draw.skips:
            change, condition = SKIP, OVER
            values[":after"] = _number(draw.first + slots)
        else:
            change, condition = DRAW, FREE
            values |= {":slots": _number(slots), ":last": _number(draw.last)}
        granted, item = await self._update(draw.minute, change, condition, values)
        # Without the item, as when TTL has just deleted it: nothing here is ours.
        position = Position(draw.minute, int(_of(item, "used", draw.last + 1)), _of(item, "waited"))
        return Answer(granted=granted, position=position)

    async def _greeting(self, minute: int) -> Answer:
        """Ask what time it is, by a write that its own condition forbids.

        A draw by a clock that is minutes ahead would take slots of a minute to come.
        """
        await self._update(minute, "REMOVE used", NEVER, None)
        self._clock.is_known = True  # or there is no Date in the replies, and never will be
        return Answer(granted=False, position=NOWHERE)

    async def release(self, minute: int, first: int, after: int) -> None:
        """Make slots free again, unless more have been drawn."""
        values = {":first": _number(first), ":after": _number(after)}
        await self._update(minute, "SET used = :first", "used = :after", values)

    async def _update(
        self, minute: int, change: str, condition: str, values: Mapping[str, Any] | None
    ) -> tuple[bool, Mapping[str, Any]]:
        """Return whether the item was changed, and what it is now."""
        return await self._dynamodb.guard.call(
            partial(
                self._asked,
                TableName=self._table,
                Key={"id": {"S": f"budget|{self._client_id}|{_minute(minute)}"}},
                UpdateExpression=change,
                ConditionExpression=condition,
                **({"ExpressionAttributeValues": values} if values else {}),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
            repeatable=False,
        )

    async def _asked(self, **change: Any) -> tuple[bool, Mapping[str, Any]]:
        asked_at = asyncio.get_running_loop().time()
        with self._dynamodb.errors():
            try:
                reply = await self._dynamodb.client.update_item(**change)
            except ClientError as error:
                self._hear(error.response, asked_at)
                if not refused(error):
                    raise
                return False, error.response.get("Item") or {}
        self._hear(reply, asked_at)
        return True, reply["Attributes"]

    def _hear(self, reply: Mapping[str, Any], asked_at: float) -> None:
        date = answered_at(reply)
        if date is not None:
            self._clock.heard(date, asked_at)


def _minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _number(value: float) -> Mapping[str, str]:
    return {"N": str(value)}


def _of(item: Mapping[str, Any], name: str, missing: float = 0) -> float:
    return float(item.get(name, {}).get("N", missing))
