"""`worker send`: puts events from files on the queue."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import orjson
import typer

from worker.cli.exit_codes import FAILED, SUCCESS, UNREACHABLE, finish
from worker.errors import ConfigurationError

if TYPE_CHECKING:
    from worker.settings import QueueEntry

MAX_BYTES = 1_048_576
"""Of one message, and of all messages of one SendMessageBatch (AWS quota since 2025)."""

MAX_ENTRIES = 10

JobsOf = Callable[[str], frozenset[str]]
"""Returns the jobs to which events of a type belong."""


def send(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="JSON, one event per file, or JSON Lines; - reads stdin."
        ),
    ],
    queue_url: Annotated[
        str | None, typer.Option(help="Send there instead of SQS_QUEUE_URL.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send events to the queue; nothing is sent unless every one is JSON of at most 1 MiB.

    Where SQS_QUEUE_URL binds several queues to jobs, each event goes to those of its type.
    """
    sent = finish(_sent(files, queue_url))
    if as_json:
        typer.echo(orjson.dumps([entry.as_dict() for entry in sent], option=orjson.OPT_INDENT_2))
    else:
        for entry in sent:
            typer.echo(entry.line(), err=entry.problem is not None)
    raise typer.Exit(exit_code_of(sent))


async def _sent(files: "Sequence[str]", queue_url: str | None) -> "list[Sent]":
    from worker.app.command_line import open_context, open_sqs
    from worker.app.jobs import event_reader
    from worker.settings import Sqs, queue_entries

    environ = {**os.environ, **({"SQS_QUEUE_URL": queue_url} if queue_url else {})}
    async with open_context(Sqs, environ=environ) as context:
        settings, sqs = context.settings, await open_sqs(context)
        queues = queue_entries(settings.sqs.queue_url)
        # After the settings: a wrong one is reported before stdin is read.
        events = [event for name in files for event in events_of(name)]
        if len(queues) == 1:
            return await send_all(sqs, events, queues[0].url)
        return await send_by_type(sqs, events, queues, event_reader(settings).jobs_of)


def exit_code_of(sent: "Sequence[Sent]") -> int:
    """Return 3 when SQS could not be reached for any event, 1 when some were not sent."""
    from worker.clients.aws import is_unreachable

    problems = [one.problem for one in sent if one.problem is not None]
    if sent and len(problems) == len(sent):
        codes = {problem.partition(" ")[0] for problem in problems}
        return UNREACHABLE if all(map(is_unreachable, codes)) else FAILED
    return FAILED if problems else SUCCESS


class BadEvent(ConfigurationError):
    """A file that is not events; names the line, never its content."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__([f"{source}: {problem}"])


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it will be sent: the text of the file, unchanged."""

    source: str
    """File, and line where there are several."""

    body: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one event."""

    source: str
    message_id: str | None = None
    problem: str | None = None
    queue: str | None = None
    """Name of the queue it was sent to."""

    def as_dict(self) -> dict[str, str | None]:
        """Return it for machines."""
        return asdict(self)

    def line(self) -> str:
        """Return it for people."""
        to = f" to {self.queue}" if self.queue else ""
        return f"{self.source}{to}: {self.problem or self.message_id}"


def events_of(name: str) -> list[Event]:
    """Return the events of the file of that name; `-` is stdin. Raises BadEvent."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise BadEvent(name, error.strerror or type(error).__name__) from None
    return events_in(name, content)


def events_in(name: str, content: bytes) -> list[Event]:
    """Return the events of a file: the whole if it is one JSON value, else its lines.

    Raises BadEvent.
    """
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    if _is_json(content):
        return [_event(name, content)]
    lines = [
        (f"{name}:{n}", line) for n, line in enumerate(content.split(b"\n"), 1) if line.strip()
    ]
    for source, line in lines:
        if not _is_json(line):
            raise BadEvent(source, "is not JSON")
    if not lines:
        raise BadEvent(name, "is empty")
    return [_event(source, line.strip()) for source, line in lines]


def batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield the events in groups that fit one SendMessageBatch, in order."""
    batch: list[Event] = []
    size = 0
    for event in events:
        length = len(event.body.encode())
        if batch and (len(batch) == MAX_ENTRIES or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += length
    if batch:
        yield batch


async def send_by_type(
    sqs: Any, events: Sequence[Event], queues: "Sequence[QueueEntry]", jobs_of: JobsOf
) -> list[Sent]:
    """Send each event to all queues that are bound to a job of its type, as rules of the bus do."""
    wanted = [(event, jobs_of(_detail_type(event))) for event in events]
    bound = {job for queue in queues for job in queue.jobs}
    sent = [
        Sent(event.source, problem="no queue is bound to its type; name one by --queue-url")
        for event, jobs in wanted
        if not jobs & bound
    ]
    for queue in queues:
        own = [event for event, jobs in wanted if jobs & set(queue.jobs)]
        found = await send_all(sqs, own, queue.url)
        sent += [replace(one, queue=queue.name) for one in found]
    return sent


def _detail_type(event: Event) -> str:
    content = orjson.loads(event.body)
    if not isinstance(content, dict):
        return ""
    return str(content.get("detail-type") or content.get("topicName") or "")


async def send_all(sqs: Any, events: Sequence[Event], queue_url: str) -> list[Sent]:
    """Send all events and return what became of each, in order; a failed batch stops no other."""
    from botocore.exceptions import BotoCoreError

    from worker.clients.aws import fault_of

    sent: list[Sent] = []
    try:
        for batch in batches(events):
            sent += await _send(sqs, queue_url, batch)
    except BotoCoreError as error:
        sent += [Sent(event.source, problem=fault_of(error).text) for event in events[len(sent) :]]
    return sent


async def _send(sqs: Any, queue_url: str, batch: list[Event]) -> list[Sent]:
    from botocore.exceptions import ClientError

    from worker.clients.aws import fault_of

    entries = [
        {"Id": str(n), "MessageBody": event.body, **_fifo(queue_url)}
        for n, event in enumerate(batch)
    ]
    try:
        reply = await sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
    except ClientError as error:
        return [Sent(event.source, problem=fault_of(error).text) for event in batch]
    ids = {entry["Id"]: entry["MessageId"] for entry in reply.get("Successful", [])}
    codes = {entry["Id"]: entry["Code"] for entry in reply.get("Failed", [])}
    return [
        Sent(
            event.source, ids.get(str(n)), None if str(n) in ids else codes.get(str(n), "no answer")
        )
        for n, event in enumerate(batch)
    ]


def _fifo(queue_url: str) -> dict[str, str]:
    """Return what a FIFO queue wants besides; a new id each time, as sending again is meant."""
    if not queue_url.endswith(".fifo"):
        return {}
    return {"MessageGroupId": "worker-send", "MessageDeduplicationId": str(uuid4())}


def _event(source: str, content: bytes) -> Event:
    if len(content) > MAX_BYTES:
        raise BadEvent(source, "is larger than 1 MiB")
    return Event(source, content.decode())


def _is_json(content: bytes) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True
