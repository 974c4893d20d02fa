"""What the command line takes from here: the parts of the daemon, for the length of one command.

A command needs some groups of the settings only, and runs where the others are not set.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic import HttpUrl

from worker.app.genesys import GenesysParts, build_genesys
from worker.app.handlers.attributes import build_crm
from worker.app.handlers.reports import build_bucket, build_reader
from worker.app.workshop import Workshop, new_workshop
from worker.clients.aws.bucket import Bucket
from worker.clients.aws.session import ClientLimits
from worker.clients.aws.sqs import Queue
from worker.clients.crm import Crm
from worker.clients.genesys.details import DetailsReader
from worker.clients.http import trusted
from worker.errors import ConfigurationError
from worker.settings import GROUPS, Aws, Breaker, Cache, Group, Retry, Settings, load_group

SHARED: tuple[type[Group], ...] = (Aws, Breaker, Cache, Retry)
"""Groups that every client may be built with."""

SQS_LIMITS = ClientLimits(pool=20, read_seconds=30, attempts=4)
"""Above the longest poll, 20 s. Polls and acks share the client: no command is in a hurry."""

CONNECT_SECONDS = 8.0
SECOND_ADDRESS_SECONDS = 0.25
"""When the next address of a host is tried beside the first one, as the HTTP client does."""


@asynccontextmanager
async def open_workshop(
    *needed: type[Group], environ: Mapping[str, str] | None = None
) -> AsyncIterator[Workshop]:
    """Load the settings of one command, and close its clients at the end of the block.

    Raises ConfigurationError that names every problem of the groups that are needed.
    """
    async with open_with(settings_of(*needed, environ=environ)) as workshop:
        yield workshop


@asynccontextmanager
async def open_with(settings: Settings) -> AsyncIterator[Workshop]:
    """Give a workshop of these settings, and close its clients at the end of the block."""
    async with AsyncExitStack() as stack:
        yield new_workshop(settings, stack)


def settings_of(*needed: type[Group], environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; a group that is not needed and cannot be loaded has its defaults."""
    groups: dict[str, Any] = {}
    problems: list[str] = []
    for name, kind in GROUPS.items():
        try:
            groups[name] = load_group(kind, environ)
        except ConfigurationError as error:
            problems += error.problems if kind in (*SHARED, *needed) else ()
            groups[name] = kind.model_construct()
    if problems:
        raise ConfigurationError(problems)
    return Settings(**groups)


async def open_genesys(workshop: Workshop) -> GenesysParts:
    """Open Genesys, its platform API included. Raises ConfigurationError without credentials."""
    settings = workshop.settings.genesys
    if not settings.client_id or settings.client_secret is None:
        raise ConfigurationError(["GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET: are not set"])
    return await build_genesys(workshop, "platform")


async def open_crm(workshop: Workshop) -> Crm:
    """Open the CRM. Raises ConfigurationError without its address."""
    if workshop.settings.crm.api_endpoint is None:
        raise ConfigurationError(["CRM_API_ENDPOINT: is not set"])
    return await build_crm(workshop)


async def open_reader(workshop: Workshop) -> DetailsReader:
    """Open what reads the conversations of a report.

    Raises ConfigurationError, and what the login host answers: a report waits minutes for an
    upstream that is down, so a wrong host or secret is found out first.
    """
    genesys = await open_genesys(workshop)
    await genesys.tokens.get()
    return build_reader(workshop, genesys)


async def open_bucket(workshop: Workshop) -> Bucket:
    """Open REPORT_BUCKET. Raises ConfigurationError when it is not set."""
    if workshop.settings.report.bucket is None:
        raise ConfigurationError(["REPORT_BUCKET: is not set; or name a folder with --out"])
    return await build_bucket(workshop)


async def open_sqs(workshop: Workshop) -> Any:
    """Open the SQS client of commands. Raises ConfigurationError."""
    return await workshop.aws_client("sqs", SQS_LIMITS)


async def open_queue(workshop: Workshop, url: str) -> Queue:
    """Open a queue for a command. Raises ConfigurationError."""
    client = await open_sqs(workshop)
    return Queue(url, polls=client, acks=client)


async def reach(url: HttpUrl) -> None:
    """Resolve, connect, shake hands, and hang up. Raises OSError."""
    async with asyncio.timeout(CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(
            (url.host or "").strip("[]"),
            url.port or 443,
            ssl=trusted() if url.scheme == "https" else None,
            happy_eyeballs_delay=SECOND_ADDRESS_SECONDS,
        )
    # Not closed: that would wait for the other side to close as well.
    writer.transport.abort()
