"""`worker trace`: what every job did for one conversation, in order of time.

Each job says where its effects show. Beside these, the idempotency store and the dead-letter queues
are searched, which know of every job. Nothing is changed, but that SQS has no read without a
receive: dead letters are invisible while they are read.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.exit_codes import FAILED, SUCCESS, UNREACHABLE, finish, problem_of

if TYPE_CHECKING:
    from worker.app.context import AppContext
    from worker.cli.dlq.reader import DeadLetter
    from worker.findings import Trace, TraceEntry
    from worker.settings import Settings

ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""What events may have as an id. Checked first: it enters paths and names of executions."""

INVISIBLE_SECONDS = 30
"""Visibility timeout of a dead letter that is read; released as soon as all are."""

PIPE_WIDTH = 160
"""Characters of a line where there is no terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place that was searched."""

    trace: "Trace"
    job: str | None = None
    """The job that declares it; None: every job's."""

    searched: bool = True
    """False: it can not be; the note says why."""

    problem: str = ""
    """Why it did not answer."""

    unreachable: bool = False
    """It gave no answer at all."""

    def entries(self) -> "Iterator[TraceEntry]":
        """Yield what was found, each with its job."""
        from msgspec.structs import replace

        for one in self.trace.entries:
            yield replace(one, job=one.job or self.job)


def _conversation(text: str) -> str:
    """Return typer's check of an id."""
    if ID.fullmatch(text.strip()) is None:
        raise typer.BadParameter("not a UUID, e.g. c0ffee00-0000-4000-8000-000000000001")
    return text.strip()


def trace(
    conversation: Annotated[str, typer.Argument(metavar="CONVERSATION_ID", callback=_conversation)],
    dead_letters: Annotated[
        int,
        typer.Option(min=0, help="Messages of a dead-letter queue that are read, at most."),
    ] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what every job did for a conversation, in order of time.

    Asks the places that the jobs which are on declare (records, executions, attributes of the live
    conversation), the idempotency store, and the dead-letter queues: what is read of these is
    invisible meanwhile. No personal data is shown. What was not searched is named below the table.

    Exit code 0: something was found. 1: nothing. 2: not an id, or a wrong setting. 3: nothing, and
    a place did not answer.
    """
    places = finish(searched(conversation, dead_letters))
    found = in_order(places)
    if as_json:
        typer.echo(json.dumps(_as_dict(conversation, found, places), indent=2))
    else:
        _print(conversation, found, places)
    if found:
        raise typer.Exit(SUCCESS)
    raise typer.Exit(UNREACHABLE if any(one.unreachable for one in places) else FAILED)


async def searched(conversation: str, at_most: int) -> "list[Place]":
    """Search all places with the settings of the environment; else as `places_of`."""
    from worker.app.command_line import settings_of
    from worker.app.jobs import known_jobs
    from worker.settings import Genesys, Handlers, Idempotency, Sqs

    groups = [job.settings for job in known_jobs().values()]
    return await places_of(
        settings_of(Sqs, Genesys, Handlers, Idempotency, *groups), conversation, at_most
    )


async def places_of(settings: "Settings", conversation: str, at_most: int) -> "list[Place]":
    """Search all places side by side. Raises ConfigurationError; no other failure is raised.

    `at_most`: messages that are read of each dead-letter queue.
    """
    from dataclasses import replace

    from worker.app.command_line import open_with

    # By the SDK: the wire client has no operations beside those of the message path.
    sdk = settings.aws.model_copy(update={"transport": "sdk"})
    async with open_with(replace(settings, aws=sdk)) as context:
        asked = await asyncio.gather(*_questions(context, conversation, at_most))
    found = [place for places in asked for place in places]
    return [*found, *_without_place(settings), _of_the_log(conversation)]


def _questions(
    context: "AppContext", conversation: str, at_most: int
) -> "Iterator[Awaitable[list[Place]]]":
    from worker.app.command_line import for_job
    from worker.app.jobs import known_jobs, named
    from worker.cli.dlq.reader import name_of

    settings = context.settings
    for name in settings.enabled_jobs():
        if (trace := known_jobs()[name].trace) is not None:
            asked = named(trace, name)(for_job(context, name), settings.jobs[name], conversation)
            yield _answer(asked, name, name)
    yield _answer(_of_the_store(context, conversation), "idempotency store")
    for url in settings.sqs.dead_letter_queue_urls:
        found = _of_dead_letters(context, url, conversation, at_most)
        yield _answer(found, f"dead-letter queue {name_of(url)}")


async def _answer(
    asked: "Awaitable[Sequence[Trace]]", where: str, job: str | None = None
) -> list[Place]:
    """Return what a place knows; that it cannot be asked is no reason not to show the others."""
    from worker.clients.aws import QueueError
    from worker.errors import ConfigurationError, WorkerError
    from worker.findings import Trace

    try:
        return [Place(trace=one, job=job) for one in await asked]
    except ConfigurationError:
        raise
    except (QueueError, WorkerError) as error:
        problem, unreachable = problem_of(error)
    trace = Trace(where=where)
    return [Place(trace=trace, job=job, problem=problem, unreachable=unreachable)]


async def _of_the_store(context: "AppContext", conversation: str) -> "list[Trace]":
    from worker.app.context import AWS_LIMITS
    from worker.errors import Misconfigured, Rejected, Unauthorized
    from worker.findings import Trace

    table, index = context.settings.idempotency.table, context.settings.idempotency.INDEX
    if table is None:
        note = "LEDGER_TABLE is not set: each process remembers for itself"
        return [Trace(where="idempotency store", note=note)]
    where = f"idempotency store {table}"
    dynamodb = await context.aws_service("dynamodb", AWS_LIMITS, "LEDGER_TABLE")
    try:
        page = await dynamodb.call(
            "query",
            TableName=table,
            IndexName=index,
            KeyConditionExpression="conversationId = :c",
            ExpressionAttributeValues={":c": {"S": conversation}},
        )
    except Unauthorized:
        raise
    except (Misconfigured, Rejected):
        # Raises itself where it is the table that is missing, and not its index.
        await dynamodb.call("get_item", TableName=table, Key={"id": {"S": conversation}})
        note = f"it has no index {index} yet; to make it: {_index_command(table, index)}"
        return [Trace(where=where, note=note)]
    keys = [{"id": item["id"]} for item in page["Items"]]
    read = (dynamodb.call("get_item", TableName=table, Key=key) for key in keys)
    items = [reply["Item"] for reply in await asyncio.gather(*read) if "Item" in reply]
    note = "the first megabyte of its keys was read" if page.get("LastEvaluatedKey") else ""
    return [Trace(where=where, entries=[_claim(item) for item in items], note=note)]


def _index_command(table: str, index: str) -> str:
    """Return the command that makes the index; it is of use for events from then on and before."""
    create = {
        "Create": {
            "IndexName": index,
            "KeySchema": [{"AttributeName": "conversationId", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    }
    return (
        f"aws dynamodb update-table --table-name {table} "
        "--attribute-definitions AttributeName=conversationId,AttributeType=S "
        f"--global-secondary-index-updates '{json.dumps([create], separators=(',', ':'))}'"
    )


def _claim(item: Mapping[str, Any]) -> "TraceEntry":
    from worker.findings import TraceEntry

    job, _, dedupe_key = item["id"]["S"].partition("|")
    time = _time(item, "completedAt") or _time(item, "claimedAt")
    state, lease = item["status"]["S"].lower().replace("_", " "), _time(item, "leaseUntil")
    if state == "in progress" and lease is not None and lease < datetime.now(UTC):
        state = "abandoned: its lease is over"
    return TraceEntry(time=time, what="event", id=dedupe_key, state=state, job=job)


def _time(item: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time of a record; None: those of older versions lack some."""
    milliseconds = item.get(name, {}).get("N")
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


async def _of_dead_letters(
    context: "AppContext", url: str, conversation: str, at_most: int
) -> "list[Trace]":
    from worker.app.command_line import open_queue
    from worker.cli.dlq.reader import Timing, depth_of, name_of, reading
    from worker.clients.aws import MAX_BATCH
    from worker.findings import Trace
    from worker.ops import counted

    queue = await open_queue(context, url)
    depth, read = await depth_of(queue), 0
    found: list[DeadLetter] = []
    async with reading(queue, timing=Timing(invisible=INVISIBLE_SECONDS)) as reader:
        while read < at_most and (batch := await reader.next(min(MAX_BATCH, at_most - read))):
            read += len(batch)
            found += [one for one in batch if _is_about(one, conversation)]
    messages = counted(max(depth, read), "message was", "messages were")
    note = f"{read:,} of about {messages} read"
    if read < depth:
        note += ": SQS shows a sample. More: --dead-letters; or another consumer has received them"
    where = f"dead-letter queue {name_of(url)}"
    return [Trace(where=where, entries=[_entry_of(one) for one in found], note=note)]


def _is_about(dead_letter: "DeadLetter", conversation: str) -> bool:
    """Return whether the message names the conversation; its body may be unreadable as an event."""
    from worker.cli.dlq.reader import NotDecoded

    try:
        body = dead_letter.original().body
    except NotDecoded:
        body = dead_letter.message.body
    return conversation.lower() in body.lower()


def _entry_of(dead_letter: "DeadLetter") -> "TraceEntry":
    from worker.findings import TraceEntry

    return TraceEntry(
        time=dead_letter.failed_at,
        what="dead letter",
        id=dead_letter.message.id,
        state=f"{dead_letter.reason} (fingerprint {dead_letter.fingerprint})",
        job=dead_letter.job,
    )


def _without_place(settings: "Settings") -> Iterator[Place]:
    """Yield the jobs that are on and say nowhere where their effects show."""
    from worker.app.jobs import known_jobs
    from worker.findings import Trace

    for name in settings.enabled_jobs():
        if known_jobs()[name].trace is None:
            note = "it declares no place of its own"
            yield Place(trace=Trace(where=name, note=note), job=name, searched=False)


def _of_the_log(conversation: str) -> Place:
    """Return where the audit entries are: they are lines of the log, which is not kept here."""
    from worker.findings import Trace

    query = f'filter conversation_id = "{conversation}" or conversationId = "{conversation}"'
    note = f"they are in the log. CloudWatch Logs Insights: {query} | sort @timestamp"
    return Place(trace=Trace(where="audit entries and log", note=note), searched=False)


def in_order(places: Iterable[Place]) -> "list[tuple[TraceEntry, str]]":
    """Return what was found with its place, in order of time; what has no time comes last."""
    found = [(one, place.trace.where) for place in places for one in place.entries()]
    return sorted(found, key=lambda pair: (pair[0].time is None, utc(pair[0].time)))


def utc(time: datetime | None) -> datetime:
    """Return a time in UTC, to sort and to show; one without a zone counts as UTC."""
    if time is None:
        return datetime.max.replace(tzinfo=UTC)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _as_dict(
    conversation: str, found: "Sequence[tuple[TraceEntry, str]]", places: Sequence[Place]
) -> dict[str, Any]:
    return {
        "conversationId": conversation,
        "entries": [
            {
                "time": one.time and utc(one.time).isoformat(timespec="milliseconds"),
                "job": one.job and masked(one.job),
                "what": masked(one.what),
                "where": masked(where),
                "id": masked(one.id),
                "state": masked(one.state),
            }
            for one, where in found
        ],
        "places": [
            {
                "where": masked(place.trace.where),
                "job": place.job,
                "searched": place.searched and not place.problem,
                "found": len(place.trace.entries),
                "note": place.trace.note or None,
                "problem": place.problem or None,
            }
            for place in places
        ],
    }


def _print(
    conversation: str, found: "Sequence[tuple[TraceEntry, str]]", places: Sequence[Place]
) -> None:
    from rich.console import Console
    from rich.text import Text

    from worker.cli.status import Rows

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    rows = []
    for one, where in found:
        time = f"{utc(one.time):%Y-%m-%d %H:%M:%S.%f}"[:-3] if one.time else "-"
        found_at = Text(f"{masked(where)}\n{masked(one.id)}")
        rows.append((*map(masked, (time, one.job or "-", one.what, one.state)), found_at))
    if found:
        console.print(Rows(("Time (UTC)", "Job", "What", "State", "Where and id"), rows))
    else:
        typer.echo(f"nothing was found for the conversation {conversation}")
    for place in places:
        typer.echo(place_line(place))


def place_line(place: Place) -> str:
    """Return what is said of a place below the table."""
    where = place.trace.where
    name = f"{place.job}: {where}" if place.job and place.job != where else where
    if place.problem:
        return f"{name}: COULD NOT BE ASKED: {masked(place.problem)}"
    found = f"{len(place.trace.entries)} found" if place.searched else "not searched"
    return f"{name}: {'; '.join(filter(None, (found, place.trace.note)))}"


def masked(text: str) -> str:
    """Return text of a queue, a table or Genesys Cloud for people, without personal data."""
    from worker.telemetry.scrub import clean, escape

    return escape(clean(text))
