"""What `worker check` and `worker trace` ask for voice enrichment: its table, its data action."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from worker.api import (
    Context,
    Finding,
    Reply,
    Trace,
    TraceEntry,
    fail,
    instant,
    ok,
    probes,
    warn,
)
from worker.jobs.voice.settings import VoiceSettings

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
