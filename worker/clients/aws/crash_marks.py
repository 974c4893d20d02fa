"""Marks of messages in flight, by which a process that died is known to the next ones.

They are items of LEDGER_TABLE, with the key `id` = `mark|queue|message id`:
`owner` (S)             the process that has the message now; absent once it gave it back untried
`leaseUntil` (N)        when SQS gives the message to another, in milliseconds since the epoch
`alone` (BOOL)          its owner runs it alone
`deaths` (N)            processes that ended while they had it; absent before the first
`diedAlone` (BOOL)      whether the last of them ran it alone
`expiresAt` (N)         TTL, seconds since the epoch

Evidence of a crash: SQS gave the message to us although another process has its mark, and the
lease of that mark is over. SQS gives a message again when its lease ends, so the allowance for
clocks that differ is on the side of the death. A mark whose lease has long to go is another matter:
SQS delivers at least once, and its owner is alive.

An owner that lives longer than its first lease need not renew the mark for that: as long as it
extends the visibility, no one else receives the message and reads the mark. Only a second copy,
which SQS may give out at any time, would count a death that was none; `renew` is against that. One
that was frozen past its lease counts as dead, as it would for what restarts it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
from botocore.exceptions import ClientError

from worker.clients.aws.errors import aws_errors
from worker.clients.aws.idempotency import (
    SKEW_SECONDS,
    IdempotencyStore,
    IdempotencyTable,
    asked,
    milliseconds,
    refused,
    without_lease,
)
from worker.errors import WorkerError
from worker.resilience import Guard
from worker.settings import Idempotency
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

DELAY_SECONDS = 1.0
"""From a receive to its mark; by as much a mark ends after the lease that it stands for."""

KEPT_SECONDS = 86_400
"""Life of a mark that is not removed. SQS keeps a message invisible for twelve hours at most."""

ANSWER_SECONDS = 3.0
"""Longest wait for the table: a mark delays its message."""

PAUSE_SECONDS = 5.0
"""How long the table is left alone after it did not answer: not each message shall wait for it."""

REPORT_SECONDS = 60.0

MOST_LEFT = 1000
"""Marks kept in mind that could not be taken off."""

LEFT_AT_ONCE = 5

Item = Mapping[str, Any]
Key = tuple[str, str]


class Evidence(NamedTuple):
    """What is known of a message from those that had it before."""

    deaths: int = 0
    """Processes that ended while they had it."""

    alone: bool = False
    """Whether it ran alone in the last of them: then no other message can be to blame."""


NONE = Evidence()


class CrashMarks:
    """The marks of one process. Nothing here raises: a mark that cannot be written is done without.

    For each message: `begin` before its body is opened, `alone` when nothing else runs from then
    on, and then either `end` at its outcome, or `release` when it is released without one.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        guard: Guard,
        owner: str,
        wall_clock: Callable[[], float],
    ) -> None:
        """`client`: DynamoDB. `owner`: this life of the process. `wall_clock`: since the epoch."""
        self._client = client
        self._table = table
        self._guard = guard
        self._owner = owner
        self._wall_clock = wall_clock
        self._left: dict[Key, None] = {}
        """Ours, not taken off as the table did not answer: others would count them as deaths."""

        self._paused_until = 0.0
        self._reported_at = float("-inf")
        self._unreported = 0

    async def begin(self, queue: str, message_id: str, lease_seconds: float) -> Evidence:
        """Mark a message as in flight here, and return what its last mark proves.

        `lease_seconds`: until SQS gives it to another. The visibility timeout right after the
        receive, and only the rest of it later: a mark that outlasts its lease hides a death.
        """
        now, key = self._wall_clock(), (queue, message_id)
        self._left.pop(key, None)
        reply = await self._ask(
            partial(
                self._client.update_item,
                UpdateExpression="SET #owner = :owner, leaseUntil = :until, expiresAt = :expires, "
                "alone = :no",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={
                    ":owner": {"S": self._owner},
                    ":until": {"N": milliseconds(now + lease_seconds)},
                    ":expires": {"N": str(int(now + KEPT_SECONDS))},
                    ":no": {"BOOL": False},
                },
                ReturnValues="ALL_OLD",
                **self._item(key),
            )
        )
        old = (reply or {}).get("Attributes") or {}
        evidence = evidence_of(old, self._owner, now, lease_seconds)
        if evidence != _counted(old):
            await self._count(key, evidence)
        return evidence

    async def alone(self, queue: str, message_id: str) -> None:
        """Note that the message runs alone from now on. Its lease is not renewed by that."""
        await self._if_ours((queue, message_id), "SET alone = :yes", {":yes": {"BOOL": True}})

    async def renew(self, queue: str, message_ids: Iterable[str], lease_seconds: float) -> None:
        """Let the leases of marks begin anew, with those of the messages."""
        until = {":until": {"N": milliseconds(self._wall_clock() + lease_seconds)}}
        await asyncio.gather(
            *(self._if_ours((queue, one), "SET leaseUntil = :until", until) for one in message_ids)
        )

    async def end(self, queue: str, message_id: str) -> None:
        """Take the mark off, if it is ours: the message came to an outcome, and we live."""
        await self._unmark((queue, message_id))
        await self._unmark_left()

    async def release(self, queue: str, message_id: str) -> None:
        """Give up the mark of a message without an outcome; what was counted before stays."""
        await self._if_ours(
            (queue, message_id), "REMOVE #owner SET alone = :no", {":no": {"BOOL": False}}
        )

    async def _count(self, key: Key, evidence: Evidence) -> None:
        await self._if_ours(
            key,
            "SET deaths = :deaths, diedAlone = :alone",
            {":deaths": {"N": str(evidence.deaths)}, ":alone": {"BOOL": evidence.alone}},
        )

    async def _unmark(self, key: Key) -> None:
        call = partial(
            self._client.delete_item,
            ConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": self._owner}},
            **self._item(key),
        )
        if await self._ask(call) is None and len(self._left) < MOST_LEFT:
            self._left[key] = None

    async def _unmark_left(self) -> None:
        some = list(self._left)[:LEFT_AT_ONCE]
        if some and asyncio.get_running_loop().time() >= self._paused_until:
            for key in some:
                del self._left[key]
            await asyncio.gather(*(self._unmark(key) for key in some))

    async def _if_ours(self, key: Key, change: str, values: Mapping[str, Any]) -> None:
        await self._ask(
            partial(
                self._client.update_item,
                UpdateExpression=change,
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": self._owner}, **values},
                **self._item(key),
            )
        )

    def _item(self, key: Key) -> Mapping[str, Any]:
        queue, message_id = key
        return {"TableName": self._table, "Key": {"id": {"S": f"mark|{queue}|{message_id}"}}}

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Item | None:
        """Return the reply, empty when the mark is not ours; None when there is none."""
        clock = asyncio.get_running_loop().time
        if clock() < self._paused_until:
            self._failed("not asked again yet", clock())
            return None
        try:
            # A living owner says so even when the message is another's by now.
            with without_lease():
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await asked(self._guard, partial(_reply, call))
        except (WorkerError, TimeoutError) as error:
            self._paused_until = clock() + PAUSE_SECONDS
            self._failed(str(error) or "no answer in time", clock())
            return None

    def _failed(self, reason: str, now: float) -> None:
        metrics.idempotency_outcomes.labels("unavailable").inc()
        self._unreported += 1
        if now - self._reported_at >= REPORT_SECONDS:
            log.warning("crash_marks_unavailable", reason=reason, failures=self._unreported)
            self._reported_at, self._unreported = now, 0


def store_and_marks(
    client: Any, table: str, settings: Idempotency, guard: Guard
) -> tuple[IdempotencyStore, CrashMarks]:
    """Return the idempotency store and the marks: both are items of LEDGER_TABLE."""
    claims = IdempotencyTable(
        client,
        table,
        guard,
        time.time,
        lease_seconds=settings.lease_seconds,
        retention_seconds=settings.retention_seconds,
    )
    store = IdempotencyStore(claims, settings.lease_seconds, fail_open=settings.fail_open)
    return store, CrashMarks(client, table, guard, uuid4().hex, time.time)


def evidence_of(mark: Item, owner: str, now: float, lease_seconds: float) -> Evidence:
    """Return what a mark proves to `owner`, to whom SQS gave the message now; {}: nothing."""
    if _number(mark, "expiresAt") <= now:
        return NONE  # or it was never there; TTL deletes late, by days
    before = _counted(mark)
    if mark.get("owner") in (None, {"S": owner}):
        return before
    allowance = min(SKEW_SECONDS + DELAY_SECONDS, lease_seconds / 2)
    if now < _number(mark, "leaseUntil") / 1000 - allowance:
        return before
    return Evidence(before.deaths + 1, mark.get("alone") == {"BOOL": True})


def _counted(mark: Item) -> Evidence:
    return Evidence(int(_number(mark, "deaths")), mark.get("diedAlone") == {"BOOL": True})


def _number(mark: Item, name: str) -> float:
    return float(mark.get(name, {}).get("N", 0))


async def _reply(call: Callable[[], Awaitable[Any]]) -> Item:
    with aws_errors("idempotency", "LEDGER_TABLE"):
        try:
            reply: Item = await call()
        except ClientError as error:
            if not refused(error):
                raise
            return {}
    return reply
