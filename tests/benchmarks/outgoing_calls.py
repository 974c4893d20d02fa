"""One way of calling an upstream, measured: run as a process, so that its CPU time is its own.

    python -m tests.benchmarks.outgoing_calls WAY URL CALLS

prints the CPU microseconds of one call, as JSON.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import aiohttp
import httpx
import orjson
import uvloop
from httpx_aiohttp import AiohttpTransport

from worker.app.upstreams import Upstreams
from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.clients import dialect_of
from worker.clients.genesys.wire import object_of
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply, Request
from worker.resilience.limiter import Limiter
from worker.settings import Breaker
from worker.settings import Genesys as GenesysSettings
from worker.telemetry.logs import configure_logging

IN_FLIGHT = 64
ACTION = "custom_-_0c0ffee0-0000-4000-8000-000000000001"
PATH = f"/api/v2/integrations/actions/{ACTION}/execute"
HEADERS = {"Authorization": "Bearer bench"}
INPUTS = {"phone_number": "+15550001234"}
NO_BUDGET = 100_000_000
"""Requests a minute: the limiter works, and never waits."""

Call = Callable[[], Awaitable[object]]


@asynccontextmanager
async def plain_httpx(url: str) -> AsyncIterator[Call]:
    """httpx as its manual shows it: one client, its own pool."""
    limits = httpx.Limits(max_connections=IN_FLIGHT)
    async with httpx.AsyncClient(base_url=url, limits=limits) as client:
        yield _httpx_call(client)


@asynccontextmanager
async def httpx_over_aiohttp(url: str) -> AsyncIterator[Call]:
    """httpx over the transport that ours goes over, with nothing of ours."""
    async with httpx.AsyncClient(base_url=url, transport=AiohttpTransport()) as client:
        yield _httpx_call(client)


def _httpx_call(client: httpx.AsyncClient) -> Call:
    async def call() -> object:
        return (await client.post(PATH, json=INPUTS, headers=HEADERS)).json()

    return call


@asynccontextmanager
async def plain_aiohttp(url: str) -> AsyncIterator[Call]:
    """aiohttp alone: the least that this connection pool costs."""
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(url, connector=connector) as session:

        async def call() -> object:
            async with session.post(PATH, json=INPUTS, headers=HEADERS) as reply:
                return orjson.loads(await reply.read())

        yield call


@asynccontextmanager
async def our_client(url: str) -> AsyncIterator[Call]:
    """Our client, without a guard."""
    async with HttpClient("genesys", url, HttpLimits(total_seconds=10)) as http:

        async def call() -> object:
            return object_of(await http.send(_request()))

        yield call


@asynccontextmanager
async def our_guarded(url: str) -> AsyncIterator[Call]:
    """Our client in the guard of the Genesys API: deadline, retry, breaker, limiter."""
    guards, _ = _guards()
    async with HttpClient("genesys", url, HttpLimits(total_seconds=10)) as http:

        async def attempt() -> Reply:
            return await http.send(_request())

        async def call() -> object:
            return object_of(await guards["data_action"].call(attempt))

        yield call


@asynccontextmanager
async def our_verb(url: str) -> AsyncIterator[Call]:
    """The data action as handlers call it: guard, token, dialect and all."""
    guards, limiter = _guards()
    settings = GenesysSettings()
    async with HttpClient("genesys", url, HttpLimits(total_seconds=10)) as http:
        tokens = Tokens(http, dialect_of(settings).token("bench", "bench"))
        genesys = Actions(Api(http, tokens, guards, limiter), dialect_of(settings))
        yield lambda: genesys.execute_data_action(ACTION, INPUTS)


def _guards() -> tuple:
    limiter = Limiter("genesys", per_minute=NO_BUDGET)
    upstreams = Upstreams(Breaker(), Random(1))
    return upstreams.genesys(GenesysSettings(), limiter), limiter


def _request() -> Request:
    return Request(method="POST", path=PATH, template="/execute", json=INPUTS, headers=HEADERS)


WAYS = {
    "httpx": plain_httpx,
    "httpx over aiohttp": httpx_over_aiohttp,
    "aiohttp": plain_aiohttp,
    "ours, client": our_client,
    "ours, client and guard": our_guarded,
    "ours, a Genesys verb": our_verb,
}


async def cpu_seconds(way: str, url: str, calls: int) -> float:
    """Return the CPU seconds of so many calls at 64 in flight, without what comes before."""
    async with WAYS[way](url) as call:
        await _repeat(call, IN_FLIGHT * 2)
        began = time.process_time()
        await _repeat(call, calls)
        return time.process_time() - began


async def _repeat(call: Call, times: int) -> None:
    left = iter(range(times))

    async def caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))


if __name__ == "__main__":
    configure_logging("error", "json")
    way, url, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    used = uvloop.run(cpu_seconds(way, url, calls))
    sys.stdout.write(orjson.dumps({"cpu_us": used / calls * 1e6}).decode())
