"""Genesys and the CRM for commands that run without the daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from worker.app.upstreams import Upstreams
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.dialects import api_url, dialect_of, login_url
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import origin_of
from worker.errors import ConfigurationError
from worker.jobs.attributes.crm import Crm, Record
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.cache import Cache, CachePolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy
from worker.settings import Breaker as BreakerSettings
from worker.settings import Cache as CacheSettings
from worker.settings import Crm as CrmSettings
from worker.settings import Genesys


@asynccontextmanager
async def open_genesys(settings: Genesys) -> AsyncIterator[Api]:
    """Give the API for the block; ConfigurationError without credentials."""
    secret = settings.client_secret
    if not settings.client_id or secret is None:
        raise ConfigurationError(["GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET: are missing"])
    limits = HttpLimits(total_seconds=settings.timeout_seconds, connections=4)
    async with (
        HttpClient("genesys login", login_url(settings), limits) as login,
        HttpClient("genesys", api_url(settings), limits) as http,
    ):
        request = dialect_of(settings).token(settings.client_id, secret.get_secret_value())
        upstreams = Upstreams(BreakerSettings(), Random())  # noqa: S311  jitter, not secrets
        tokens = Tokens(login, request, guard=upstreams.login(settings))
        limiter = upstreams.limiter(settings)
        try:
            guards = upstreams.genesys(settings, limiter, "platform")
            yield Api(http, tokens, guards, limiter)
        finally:
            await tokens.aclose()


@asynccontextmanager
async def open_crm(settings: CrmSettings) -> AsyncIterator[Crm]:
    """Give the CRM for the block; ConfigurationError without its address."""
    if settings.api_endpoint is None:
        raise ConfigurationError(["CRM_API_ENDPOINT: is missing"])
    url = str(settings.api_endpoint)
    token = settings.api_token.get_secret_value() if settings.api_token else None
    limits = HttpLimits(total_seconds=settings.timeout_seconds, connections=4)
    random = Random()  # noqa: S311  jitter, not secrets
    clock = asyncio.get_running_loop().time
    retries = RetryPolicy(attempts=settings.attempts, base_seconds=0.5, cap_seconds=5)
    breaker = Breaker("crm", BreakerPolicy(), clock=clock, random=random)
    guard = Guard(GuardPolicy(retries, settings.deadline_seconds), breaker=breaker, random=random)
    cache: Cache[bytes, Record] = Cache(
        "crm", CachePolicy(**CacheSettings().model_dump()), random=random
    )
    async with HttpClient("crm", origin_of("CRM_API_ENDPOINT", url), limits) as http:
        yield Crm(url, http, guard, cache, token=token, cache_by=settings.cache_by)
