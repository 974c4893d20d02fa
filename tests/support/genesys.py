"""The Genesys API to test with, the conversations that ended in it, and rows of reports."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.support.factories import NOON, OneForAll, a_report_due, an_id
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Batching, ConversationDetails
from worker.clients.genesys.conversations import PlatformDetails as DetailsById
from worker.clients.genesys.details_jobs import DetailsJobs
from worker.clients.genesys.details_query import PlatformPages, ReferenceDetails, ReferencePages
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.cloud import Ended, a_conversation
from worker.emulators.genesys.history import History, Past
from worker.events.origin import utc_text
from worker.jobs.reports.reader import DetailsReader
from worker.jobs.reports.rows import Row
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.limiter import Limiter
from worker.resilience.retry import RetryPolicy

DAY = datetime(2026, 3, 1, tzinfo=UTC)
DAY_MS = round(DAY.timestamp() * 1000)
HOUR_MS = 3_600_000
NOW = datetime(2026, 3, 20, 9, tzinfo=UTC)
QUEUE = "9e000000-0000-4000-8000-000000000001"
OTHER_QUEUE = "9e000000-0000-4000-8000-000000000002"
OFF = BreakerPolicy(enabled=False)


def a_row(**over: Any) -> Row:
    """Two minutes long, one of them talk, twelve seconds of hold; starts a second after noon."""
    fields: dict[str, Any] = {
        "id": an_id(),
        "start_ms": DAY_MS + 12 * HOUR_MS + 1000,
        "duration_ms": 120_000,
        "talk_ms": 60_000,
        "hold_ms": 12_000,
        "media_type": "voice",
        "queue_id": QUEUE,
        "wrapup_codes": ("resolved",),
    }
    return Row(**fields | over)


def a_past(hours: float = 12, **over: Any) -> Past:
    """A conversation that started so many hours into the day."""
    fields: dict[str, Any] = {"id": an_id(), "start_ms": DAY_MS + round(hours * HOUR_MS)}
    return Past(**fields | over)


def pasts(number: int, *, hours: float = 24, **over: Any) -> list[Past]:
    """So many conversations, evenly spread over the first hours of the day."""
    return [a_past(hours * place / number, **over) for place in range(number)]


def a_day(**over: Any):
    """A report over the whole day, of everything."""
    fields: dict[str, Any] = {
        "start": DAY,
        "end": datetime(2026, 3, 2, tzinfo=UTC),
        "media_type": None,
        "queue_ids": (),
        "filters": (),
    }
    return a_report_due(**fields | over)


def a_cloud(conversations, **history: Any) -> GenesysCloud:
    return GenesysCloud(history=History(conversations, **history))


def dialect_by(text):
    """That of a reference text; without one the platform's."""
    return Reference(text) if text else Platform()


@asynccontextmanager
async def an_api(cloud: GenesysCloud, **over: Any):
    """The real client on an emulated Genesys Cloud."""
    async with GenesysServer(cloud), an_api_at(cloud.url, **over) as api:
        yield api


@asynccontextmanager
async def an_api_at(
    url: str,
    *,
    attempts: int = 1,
    per_minute: float = 600_000,
    breaker: BreakerPolicy = OFF,
    text: Any = None,
):
    """The real client of an emulated Genesys Cloud that is up already; `text`: r0 to r4."""
    clock = asyncio.get_running_loop().time
    limiter = Limiter("genesys", per_minute=per_minute)
    fuse = Breaker("genesys", breaker, clock=clock, random=Random(1))
    policy = GuardPolicy(RetryPolicy(attempts=attempts, base_seconds=0.1, cap_seconds=1), 25)
    async with HttpClient("genesys", url, HttpLimits(total_seconds=10)) as http:
        tokens = Tokens(http, dialect_by(text).token("demo-client", "demo-secret"))
        try:
            guard = Guard(policy, breaker=fuse, random=Random(1), limiter=limiter)
            yield Api(http, tokens, OneForAll(guard))
        finally:
            await tokens.aclose()


@asynccontextmanager
async def a_reader(
    cloud: GenesysCloud, dialect=None, *, concurrency: int = 4, jobs: bool = False, **api: Any
):
    text = "r4" if isinstance(dialect, ReferencePages) else None
    async with an_api(cloud, text=text, **api) as made:
        yield DetailsReader(
            made,
            dialect or PlatformPages(),
            concurrency,
            lambda: NOW,
            DetailsJobs(made) if jobs else None,
        )


def a_guard(upstream="genesys", *, limiter=None, attempts=1):
    """Must be made in the loop."""
    clock = asyncio.get_running_loop().time
    breaker = Breaker(upstream, BreakerPolicy(enabled=False), clock=clock, random=Random(1))
    policy = GuardPolicy(RetryPolicy(attempts, 0.01, 0.01), deadline_seconds=25)
    return Guard(policy, breaker=breaker, random=Random(1), limiter=limiter)


@asynccontextmanager
async def api_of(cloud, *, per_minute=60_000, text=None):
    """Serve the cloud and yield the client of its API; `text`: r0 to r4."""
    limiter = Limiter("genesys", per_minute=per_minute)
    async with (
        GenesysServer(cloud),
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=10)) as http,
    ):
        tokens = Tokens(http, dialect_by(text).token(cloud.client_id, cloud.client_secret))
        await tokens.get()
        try:
            yield Api(http, tokens, OneForAll(a_guard(limiter=limiter)), limiter)
        finally:
            await tokens.aclose()


@asynccontextmanager
async def details_of(cloud, dialect=None, batching=None, *, per_minute=60_000):
    text = "r1" if isinstance(dialect, ReferenceDetails) else None
    async with api_of(cloud, per_minute=per_minute, text=text) as api:
        details = ConversationDetails(api, dialect or DetailsById(), batching or Batching())
        try:
            yield details
        finally:
            await details.aclose()


def end(cloud, conversation_id=None, *, session_id=None, media_type="voice", **when):
    """Let a conversation end at NOON; `listed_at`, `closed_at`: see `Ended`. Returns its id."""
    conversation_id = conversation_id or an_id()
    record = a_conversation(
        conversation_id,
        session_id or an_id(),
        media_type=media_type,
        start=utc_text(NOON - timedelta(minutes=5)),
        end=utc_text(NOON),
    )
    cloud.ended[conversation_id] = Ended(record, **when)
    return conversation_id
