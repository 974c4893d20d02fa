"""What the command line takes from here: the parts of the daemon, for the length of one command.

A command needs some groups of the settings only, and runs where the others are not set. One that
changes nothing runs the very handlers of the daemon, and keeps back what they write.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from worker.api import Handler
from worker.app.context import DIRECT, TEXTS, AppContext, JobContext, Outgoing, new_context, now
from worker.app.jobs import declarations, known_jobs
from worker.app.routes import build_handler
from worker.clients import Reply, Request, Sender
from worker.clients.aws import ClientLimits, Queue
from worker.clients.genesys import API, GenesysClients
from worker.errors import ConfigurationError
from worker.settings import (
    Aws,
    Breaker,
    Cache,
    Group,
    Handlers,
    Retry,
    Settings,
    groups_of,
    load_group,
    unknown_jobs,
)

SHARED: tuple[type[Group], ...] = (Aws, Breaker, Cache, Retry)
"""Groups that every client may be built with."""

SQS_LIMITS = ClientLimits(pool=20, read_seconds=30, attempts=4)
"""Above the longest poll, 20 s. Polls and acks share the client: no command needs more."""


@asynccontextmanager
async def open_context(
    *needed: type[Group], environ: Mapping[str, str] | None = None
) -> AsyncIterator[AppContext]:
    """Load the settings of one command, and close its clients at the end of the block.

    Raises ConfigurationError that names every problem of the groups that are needed.
    """
    async with open_with(settings_of(*needed, environ=environ)) as context:
        yield context


@asynccontextmanager
async def open_with(settings: Settings, outgoing: Outgoing = DIRECT) -> AsyncIterator[AppContext]:
    """Give a context of these settings, and close its clients at the end of the block."""
    async with AsyncExitStack() as stack:
        yield new_context(settings, stack, outgoing)


def settings_of(*needed: type[Group], environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; a group that is not needed and cannot be loaded has its defaults."""
    jobs = declarations()
    groups: dict[str, Any] = {}
    problems: list[str] = []
    for name, kind in groups_of(jobs).items():
        try:
            groups[name] = load_group(kind, environ)
        except ConfigurationError as error:
            problems += error.problems if kind in (*SHARED, *needed) else ()
            required = [field for field, of in kind.model_fields.items() if of.is_required()]
            blank: dict[str, Any] = dict.fromkeys(required, "")
            groups[name] = kind.model_construct(**blank)
    if Handlers in needed:
        problems += unknown_jobs(jobs, getattr(groups["handlers"], "handlers", ()))
    if problems:
        raise ConfigurationError(problems)
    of_jobs = {name: groups.pop(name) for name in jobs}
    return Settings(**groups, jobs=of_jobs, declared=jobs)


async def open_genesys(context: AppContext) -> GenesysClients:
    """Open Genesys. Raises ConfigurationError without credentials.

    Of several reference texts, that of the first job that is on.
    """
    return (await open_texts(context))[0]


async def open_texts(context: AppContext) -> list[GenesysClients]:
    """Open Genesys by each reference text that the jobs which are on speak; one for the platform.

    Raises ConfigurationError without credentials.
    """
    jobs = [job for job in context.settings.enabled_jobs() if job in TEXTS] or [""]
    opened = [await context.genesys(job) for job in jobs]
    return list({id(one): one for one in opened}.values())


def for_job(context: AppContext, job: str) -> JobContext:
    """Return the context that a job is built with."""
    return JobContext(job, context)


async def open_sqs(context: AppContext) -> Any:
    """Open the SQS client of commands. Raises ConfigurationError."""
    return await context.aws_client("sqs", SQS_LIMITS)


async def open_queue(context: AppContext, url: str) -> Queue:
    """Open a queue for a command. Raises ConfigurationError."""
    client = await open_sqs(context)
    return Queue(url, polls=client, acks=client)


async def open_handler(context: AppContext, job: str) -> Handler:
    """Build a job as the daemon does. Raises ConfigurationError that names what it lacks."""
    if lacking := context.settings.lacking()[job]:
        raise ConfigurationError([f"{name}: is not set" for name in lacking])
    return await build_handler(context, known_jobs()[job])


READ_METHODS = {"GET", "HEAD"}
QUESTIONS = ("/query", "/execute", "/conversations/details/jobs")
"""Ends of the paths of Genesys Cloud that are POSTed to, and change nothing: queries, and data
actions, which are look-ups."""

AWS_READS = ("get_", "batch_get_", "head_", "list_", "describe_", "query", "scan", "generate_")
"""How the names of operations begin that change nothing."""

_SECRET = re.compile("auth|cookie|key|secret|signature|timestamp|token", re.IGNORECASE)
"""Headers that are left out: secrets, and the signature with its time, which are made anew for
each attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A call that would change something, and was not made."""

    to: str
    """The AWS service, or the upstream as metrics and /status name it."""

    call: str
    """Operation of AWS; method and, where it is no secret, path."""

    content: Mapping[str, Any] = field(repr=False)
    """Parameters of the operation; `headers` and `body` of a request."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Lets through what reads, and keeps what would write; callers take it for done."""

    writes: list[Write] = field(default_factory=list)

    def outgoing(self) -> Outgoing:
        """Return what a context is opened with, for its clients to be kept back."""
        return Outgoing(
            http=lambda name, client: _ReadingSender(name, client, self.writes),
            aws=lambda service, client: _ReadingClient(service, client, self.writes),
        )


@dataclass(frozen=True, slots=True)
class _ReadingSender:
    """Sends what asks; answers 200 to the rest."""

    name: str
    client: Sender
    writes: list[Write]

    async def send(self, request: Request, headers: Mapping[str, str] | None = None) -> Reply:
        path = request.path.partition("?")[0]
        asks = self.name == API and path.endswith(QUESTIONS)
        if request.method in READ_METHODS or asks:
            return await self.client.send(request, headers or {})
        # The path of a webhook is often its password; those of Genesys hold ids.
        where = f" {request.path}" if self.name == API else ""
        kept = {key: one for key, one in request.headers.items() if not _SECRET.search(key)}
        body = request.form or orjson.loads(orjson.dumps(request.json))
        content = {"headers": kept, "body": body} if kept else {"body": body}
        self.writes.append(Write(to=self.name, call=f"{request.method}{where}", content=content))
        return Reply(status=200, body=b"{}", received_at=now())


@dataclass(frozen=True, slots=True)
class _ReadingClient:
    """Calls what reads; answers the rest as the service does when all went well."""

    service: str
    client: Any
    writes: list[Write]

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", *AWS_READS)) or name in {"meta", "exceptions", "can_paginate"}:
            return getattr(self.client, name)
        return partial(self._keep, name)

    async def _keep(self, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        call = "".join(part.capitalize() for part in operation.split("_"))
        self.writes.append(Write(to=self.service, call=call, content=parameters))
        return _REPLIES.get(operation, _empty)(parameters)


def _empty(_: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _each(
    failed: str, results: str, entries: str, result: Mapping[str, str]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return the reply to a batch of which each entry succeeds."""
    return lambda call: {failed: 0, results: [dict(result) for _ in call[entries]]}


def _sent(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"Successful": [{"Id": entry["Id"], "MessageId": ""} for entry in call["Entries"]]}


_REPLIES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "put_events": _each("FailedEntryCount", "Entries", "Entries", {"EventId": "not-put"}),
    "put_records": _each("FailedRecordCount", "Records", "Records", {}),
    "put_record_batch": _each("FailedPutCount", "RequestResponses", "Records", {"RecordId": ""}),
    "send_message_batch": _sent,
}
