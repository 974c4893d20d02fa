"""A wire between the worker and an upstream: it notes every effect, and may cut in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.chaos.effects import Effect, Request, effects_of, start_of
from worker.emulators import serving

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}

Answer = web.StreamResponse
Cut = Callable[[Request], int | web.Response | None]
"""Says how a request is refused, by a status or a whole reply; None lets it through."""


class Wiretap:
    """Passes requests on, and keeps what they did in `effects`, in the order of the answers."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.refused = 0
        self.cuts: dict[str, Cut] = {}
        """By upstream; may be changed at any time."""

        self._under_way: set[asyncio.Task[Answer]] = set()
        self._starts: set[tuple[str, float]] = set()

    @asynccontextmanager
    async def on(self, upstream: str, url: str) -> AsyncIterator[str]:
        """Listen before `url`; give the address that stands for it, without a path."""
        limits = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=limits, auto_decompress=False) as http:

            async def answer(request: web.Request) -> Answer:
                return await self._to_the_end(self._pass_on(upstream, url, http, request))

            app = web.Application(client_max_size=2**28)
            app.router.add_route("*", "/{tail:.*}", answer)
            async with serving(app) as origin:
                yield origin
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _to_the_end(self, work: Coroutine[None, None, Answer]) -> Answer:
        """Go on though the worker hung up: what it asked for is done, and must be noted."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _pass_on(
        self, upstream: str, url: str, http: aiohttp.ClientSession, given: web.Request
    ) -> Answer:
        headers = {name.lower(): value for name, value in given.headers.items()}
        request = Request(upstream, given.method, given.path_qs, headers, await given.read())
        if cut := self.cuts.get(upstream):
            refusal = cut(request)
            if isinstance(refusal, int):
                refusal = web.json_response({"message": "cut"}, status=refusal)
            if refusal is not None:
                self.refused += 1
                return refusal
        kept = {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
        async with http.request(
            request.method, f"{url}{given.raw_path}", headers=kept, data=request.body
        ) as reply:
            content = await reply.read()
        if reply.status < 300 and self._is_new(start_of(request, content)):
            self.effects += effects_of(request, time.time())
        passed = {n: v for n, v in reply.headers.items() if n.lower() not in HOP_BY_HOP}
        return web.Response(status=reply.status, headers=passed, body=content)

    def _is_new(self, start: tuple[str, float] | None) -> bool:
        if start is None:
            return True
        known = start in self._starts
        self._starts.add(start)
        return not known
