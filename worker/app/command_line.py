"""What the command line takes from here: the parts of the daemon, for the length of one command.

A command needs some groups of the settings only, and runs where the others are not set.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from worker.app.context import (
    AWS_LIMITS,
    DIRECT,
    TEXTS,
    AppContext,
    JobContext,
    Outgoing,
    new_context,
)
from worker.app.jobs import declarations
from worker.clients.aws import ClientLimits, IdempotencyTable, Queue
from worker.clients.genesys import GenesysClients
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


async def open_claims(
    context: AppContext, lease_seconds: float, retention_seconds: float
) -> IdempotencyTable | None:
    """Open LEDGER_TABLE for the claims of a command; None where it is not set."""
    table = context.settings.idempotency.table
    if table is None:
        return None
    return IdempotencyTable(
        await context.aws_client("dynamodb", AWS_LIMITS),
        table,
        context.upstreams.aws("idempotency"),
        time.time,
        lease_seconds=lease_seconds,
        retention_seconds=retention_seconds,
    )
