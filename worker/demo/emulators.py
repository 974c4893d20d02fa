"""The emulators alone, at known ports, with traffic without end: for a worker started elsewhere."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from worker.demo.endless import Endless
from worker.demo.stage import Places, Queues, Stage, open_stage
from worker.demo.surroundings import make_surroundings
from worker.emulators.loopback import serving
from worker.errors import ConfigurationError


async def run_emulators(places: Places, *, rate: float, seed: int, queues: Queues) -> int:
    """Serve until SIGTERM or SIGINT, with `rate` events a second; return the exit code.

    Raises ConfigurationError when the emulators cannot listen where they should.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _serving(places, queues) as stage:
        traffic = asyncio.create_task(Endless(stage, rate).send(seed))
        stopped = asyncio.create_task(stop.wait())
        done, others = await asyncio.wait({traffic, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        for task in done:
            task.result()  # traffic has no end but a failure
    return 0


@asynccontextmanager
async def _serving(places: Places, queues: Queues) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        try:
            stage = await stack.enter_async_context(open_stage(places=places, queues=queues))
            await make_surroundings(stage)
            environment = environment_of(stage)
            # Last: whoever finds this page finds everything else in its place.
            url = await stack.enter_async_context(serving(_page(environment), places.of("page")))
        except OSError as error:
            raise ConfigurationError([f"DEMO_HOST, DEMO_PORT: {error.strerror}"]) from error
        sys.stdout.write(f"{environment}# ready: {url}/livez, and these lines at /environment\n")
        sys.stdout.flush()
        yield stage


def environment_of(stage: Stage) -> str:
    """Return what a worker on this stage needs, as `NAME=value` lines."""
    ours = stage.environment()
    return "".join(f"{name}={value}\n" for name, value in ours.items() if name != "PATH")


def _page(environment: str) -> web.Application:
    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def lines(_: web.Request) -> web.Response:
        return web.Response(text=environment)

    app = web.Application()
    app.router.add_get("/livez", alive)
    app.router.add_get("/environment", lines)
    return app
