"""What commands ask for voice enrichment: its table, its data action, the scores it has missed."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from worker.api import (
    AwsService,
    ConfigurationError,
    Context,
    Finding,
    Interval,
    Json,
    Lost,
    Reply,
    Trace,
    TraceEntry,
    all_of,
    fail,
    instant,
    ok,
    probes,
    utc_text,
    warn,
    without_tel,
)
from worker.jobs.voice import VoiceSettings

TABLE, ACTION = "DynamoDB table", "Genesys data action"
"""Names of the findings."""

KEYS = ("conversationId", "eventTimestamp")
NO_SUCH_ACTION = {404, 410}


async def check_table(context: Context, settings: VoiceSettings) -> list[Finding]:
    """Try to write a voice record, and to look for one; a table that is wrong is one finding."""
    dynamodb = await context.aws("dynamodb", setting="DYNAMODB_TABLE")
    table = settings.dynamodb_table or ""
    schema = "partition key conversationId (S), sort key eventTimestamp (S)"
    written = await probes.put_item(TABLE, dynamodb, table, KEYS, schema)
    if written.state != "ok":
        return [written]
    return [written, await probes.query(TABLE, dynamodb, table, KEYS[0])]


async def check_action(context: Context, settings: VoiceSettings) -> list[Finding]:
    """Ask for the data action itself, which the job never does: it only runs it.

    The reference texts know no such call.
    """
    genesys = await context.genesys()
    if "lookups" not in genesys.dialect.features:
        return []
    read = partial(genesys.actions.lookup, settings.genesys_action_id or "", _action)
    return await genesys.finding_of(ACTION, "GENESYS_ACTION_ID", read)


def _action(reply: Reply) -> Finding:
    if reply.status in NO_SUCH_ACTION:
        return fail(ACTION, "this data action does not exist", "check GENESYS_ACTION_ID")
    if reply.status == 403:
        remedy = "none, if it exists; to read it, the client needs integrations:action:view"
        return warn(ACTION, "cannot be read: 403", remedy)
    if reply.status != 200:
        # The worker can do without this very read.
        return warn(ACTION, f"cannot be read: {reply.status}", "try again")
    return ok(ACTION, "exists; not run")


async def trace(context: Context, settings: VoiceSettings, conversation_id: str) -> list[Trace]:
    """Read the records of a conversation: their keys and status, and nothing of the customer."""
    dynamodb = await context.aws("dynamodb", setting="DYNAMODB_TABLE")
    page = await dynamodb.call(
        "query",
        TableName=settings.dynamodb_table or "",
        KeyConditionExpression="conversationId = :c",
        ExpressionAttributeValues={":c": {"S": conversation_id}},
        ProjectionExpression="conversationId, eventTimestamp, recordedAt, enrichmentStatus",
        ConsistentRead=True,
    )
    entries = [_traced(item) for item in page["Items"]]
    note = "the first megabyte of its records was read" if page.get("LastEvaluatedKey") else ""
    where = f"DynamoDB table {settings.dynamodb_table}"
    return [Trace(where=where, entries=entries, note=note)]


def _traced(item: Mapping[str, Any]) -> TraceEntry:
    """Return the record under the id that the event's effect has; older ones lack `recordedAt`."""
    event_timestamp = item["eventTimestamp"]["S"]
    return TraceEntry(
        time=instant(item.get("recordedAt", item["eventTimestamp"])["S"]),
        what="voice record",
        id=f"{item['conversationId']['S']} {event_timestamp}",
        state=item.get("enrichmentStatus", {}).get("S", "written"),
    )


AT_ONCE = 10
"""Conversations that a backfill asks for side by side."""

CUSTOMERS = {"customer", "external"}
"""Purposes of the customer: `external` outside of queues."""


def _refuse_expired(kept_seconds: float | None, age: timedelta) -> None:
    if kept_seconds is not None and age > timedelta(seconds=kept_seconds):
        setting = f"DYNAMODB_RETENTION_SECONDS is {kept_seconds:g}"
        raise ConfigurationError([f"--from: records of then have expired: {setting}"])


async def backfill(
    context: Context, settings: VoiceSettings, interval: Interval
) -> Callable[[Sequence[Json]], Awaitable[list[Lost]]]:
    """Return what finds the calls that have a score and no record of it.

    Raises ConfigurationError for an interval whose records may have expired.
    """
    _refuse_expired(settings.dynamodb_retention_seconds, context.now() - interval.start)
    genesys = await context.genesys()
    return MissedScores(
        dynamodb=await context.aws("dynamodb", setting="DYNAMODB_TABLE"),
        table=settings.dynamodb_table or "",
        # After all live work: it shares their budget.
        score=partial(genesys.scores.of_conversation, background=True),
        now=context.now,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedScores:
    """Conversations → events of the calls among them that have a score and no record."""

    dynamodb: AwsService
    table: str
    score: Callable[[str], Awaitable[Decimal | None]]
    now: Callable[[], datetime]

    async def __call__(self, conversations: Sequence[Json]) -> list[Lost]:
        """Ask for a few at a time: a table for its records, and speech analytics for the rest."""
        calls = [one for one in conversations if any(_voice_sessions(one))]
        found: list[Lost | None] = []
        for first in range(0, len(calls), AT_ONCE):
            found += await all_of([self._lost(one) for one in calls[first : first + AT_ONCE]])
        return [one for one in found if one is not None]

    async def _lost(self, conversation: Json) -> Lost | None:
        conversation_id = str(conversation["conversationId"])
        if await self._has_record(conversation_id):
            return None
        # Before it is asked for: what is emitted from now on may be newer.
        asked_at = self.now()
        overall = await self.score(conversation_id)
        # Without a score there was no event, and of the end of a call nothing is recorded.
        return None if overall is None else _event(conversation, overall, asked_at)

    async def _has_record(self, conversation_id: str) -> bool:
        page = await self.dynamodb.call(
            "query",
            TableName=self.table,
            KeyConditionExpression="conversationId = :c",
            ExpressionAttributeValues={":c": {"S": conversation_id}},
            ProjectionExpression="conversationId",
            ConsistentRead=True,
            Limit=1,
        )
        return bool(page["Items"])


def _event(conversation: Json, overall: Decimal, asked_at: datetime) -> Lost:
    """Return the score as the flat form has it, which no other job reads."""
    conversation_id, ended = (
        str(conversation["conversationId"]),
        instant(conversation["conversationEnd"]),
    )
    phone = _number(conversation)
    detail = {
        "conversationId": conversation_id,
        "timestamp": utc_text(ended),
        **({"phoneNumber": phone} if phone else {}),
        "sentiment": {"overall": float(overall)},
        "backfilledAt": utc_text(asked_at),
    }
    return Lost(
        key=f"{conversation_id}|{utc_text(ended)}",
        conversation_id=conversation_id,
        detail_type="voice.analytics",
        detail=detail,
        time=ended,
    )


def _number(conversation: Json) -> str | None:
    """Return the customer's number; without one the job asks the conversation itself."""
    for session in _voice_sessions(conversation, CUSTOMERS):
        outbound = str(session.get("direction")).lower() == "outbound"
        number = session.get("dnis" if outbound else "ani")
        if isinstance(number, str) and number:
            return without_tel(number)
    return None


def _voice_sessions(conversation: Json, purposes: set[str] | None = None) -> Iterator[Json]:
    for participant in conversation.get("participants") or ():
        if purposes is None or str(participant.get("purpose")).lower() in purposes:
            for session in participant.get("sessions") or ():
                if str(session.get("mediaType")).lower() == "voice":
                    yield session
