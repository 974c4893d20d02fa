"""The Genesys API to test with, and conversations that ended in it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

from tests.support.factories import NOON, OneForAll, an_id

from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Batching, ConversationDetails, PlatformDetails
from worker.clients.genesys.dialects import Platform
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.cloud import Ended, a_conversation
from worker.events.normal_forms import utc_text
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.limiter import Limiter
from worker.resilience.retry import RetryPolicy


def a_guard(upstream="genesys", *, limiter=None, attempts=1):
    """Must be made in the loop."""
    clock = asyncio.get_running_loop().time
    breaker = Breaker(upstream, BreakerPolicy(enabled=False), clock=clock, random=Random(1))
    policy = GuardPolicy(RetryPolicy(attempts, 0.01, 0.01), deadline_seconds=25)
    return Guard(policy, breaker=breaker, random=Random(1), limiter=limiter)


@asynccontextmanager
async def api_of(cloud, *, per_minute=60_000):
    """Serve the cloud and yield the client of its API."""
    limiter = Limiter("genesys", per_minute=per_minute)
    async with (
        GenesysServer(cloud),
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=10)) as http,
    ):
        tokens = Tokens(http, Platform().token(cloud.client_id, cloud.client_secret))
        await tokens.get()
        try:
            yield Api(http, tokens, OneForAll(a_guard(limiter=limiter)), limiter)
        finally:
            await tokens.aclose()


@asynccontextmanager
async def details_of(cloud, dialect=None, batching=None, *, per_minute=60_000):
    async with api_of(cloud, per_minute=per_minute) as api:
        details = ConversationDetails(api, dialect or PlatformDetails(), batching or Batching())
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
