"""The emulators alone, at known ports, with endless traffic: for a worker started elsewhere."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web

from worker.demo import Demo, Fault, Planned
from worker.demo.environment import (
    PATHS,
    SOURCES,
    Addresses,
    Environment,
    Queues,
    make_fixtures,
    open_environment,
    put_events,
)
from worker.demo.scenario import jobs_of, prepare
from worker.emulators import serving
from worker.errors import ConfigurationError

EVENTS_A_CYCLE = 240
"""Events of one cycle, about; each cycle has all the faults once."""

KEEP_SECONDS = 120
"""Longest time a message may wait for an upstream to recover, and still find what it asks for."""


async def run_emulators(addresses: Addresses, *, rate: float, seed: int, queues: Queues) -> int:
    """Serve until SIGTERM or SIGINT, with `rate` events a second; return the exit code.

    Raises ConfigurationError when the emulators cannot listen where they should.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _serving(addresses, queues, seed) as environment:
        traffic = asyncio.create_task(Endless(environment, rate).send(seed))
        stopped = asyncio.create_task(stop.wait())
        done, others = await asyncio.wait({traffic, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        for task in done:
            task.result()  # traffic has no end but a failure
    return 0


@asynccontextmanager
async def _serving(addresses: Addresses, queues: Queues, seed: int) -> AsyncIterator[Environment]:
    async with AsyncExitStack() as stack:
        try:
            environment = await stack.enter_async_context(
                open_environment(addresses=addresses, queues=queues)
            )
            await make_fixtures(environment)
            # Before the environment is printed: jobs add settings to it.
            await prepare(jobs_of(EVENTS_A_CYCLE, seed), environment)
            variables = variables_of(environment)
            # Last: a client that finds this page finds everything else ready.
            url = await stack.enter_async_context(serving(_page(variables), addresses.of("page")))
        except OSError as error:
            raise ConfigurationError([f"DEMO_HOST, DEMO_PORT: {error.strerror}"]) from error
        sys.stdout.write(f"{variables}# ready: {url}/livez, and these lines at /environment\n")
        sys.stdout.flush()
        yield environment


def variables_of(environment: Environment) -> str:
    """Return what a worker on these emulators needs, as `NAME=value` lines."""
    ours = environment.variables()
    return "".join(f"{name}={value}\n" for name, value in ours.items() if name not in PATHS)


def _page(variables: str) -> web.Application:
    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def lines(_: web.Request) -> web.Response:
        return web.Response(text=variables)

    app = web.Application()
    app.router.add_get("/livez", alive)
    app.router.add_get("/environment", lines)
    return app


def _traffic(jobs: Sequence[Demo], seed: int, *, with_unreadable: bool) -> list[Planned]:
    """Return the messages of a cycle, in the order they are sent in."""
    sent = [message for job in jobs for message in job.traffic()]
    if not with_unreadable:
        sent = [message for message in sent if message.disposition == "done"]
    Random(seed).shuffle(sent)  # noqa: S311  reproducible traffic
    return sent + [message for job in jobs for message in job.late_duplicates()]


class Endless:
    """Cycles of the demo's traffic at a steady rate."""

    def __init__(self, environment: Environment, rate: float) -> None:
        """`rate`: events a second."""
        self._environment = environment
        self._pause_seconds = 1 / rate
        self._before: list[set[str]] = [set() for _ in self._held()]
        self._marked_at = float("-inf")

    async def send(self, first_seed: int) -> None:
        """Send cycle after cycle until cancelled."""
        for seed in itertools.count(first_seed):
            jobs = jobs_of(EVENTS_A_CYCLE, seed)
            await prepare(jobs, self._environment)
            # Unreadable messages in the first cycle only: nothing empties the dead-letter queue.
            traffic = _traffic(jobs, seed, with_unreadable=seed == first_seed)
            await self._send(traffic, [fault for job in jobs for fault in job.faults()])
            self._forget()
            await self._leave_unread()

    async def _send(self, traffic: Sequence[Planned], faults: Sequence[Fault]) -> None:
        """Send steadily; the faults come at even distances, each for its time."""
        share = len(traffic) // (len(faults) + 1) + 1
        for number, message in enumerate(traffic):
            if number and number % share == 0:
                self._begin(faults[number // share - 1])
            self._environment.put(message.body, message.queue_of)
            await asyncio.sleep(self._pause_seconds)

    def _begin(self, fault: Fault) -> None:
        fault.begin(self._environment)
        asyncio.get_running_loop().call_later(fault.seconds, fault.end, self._environment)

    def _forget(self) -> None:
        """Drop what was there at the last mark, and set a new mark."""
        now = asyncio.get_running_loop().time()
        if now - self._marked_at < KEEP_SECONDS:
            return
        held = self._held()
        for answers, old in zip(held, self._before, strict=True):
            for key in old & answers.keys():
                del answers[key]
        self._before = [set(answers) for answers in held]
        self._marked_at = now

    async def _leave_unread(self) -> None:
        """Drop what only a proof at the end would read."""
        journal = self._environment.sqs.journal
        for written in (journal.records, journal.receives, journal.deletes):
            written.clear()
        for sink in self._environment.sinks.values():
            sink.deliveries.clear()
        for source in SOURCES:
            await put_events(self._environment, source)

    def _held(self) -> list[dict[str, Any]]:
        genesys, crm = self._environment.genesys, self._environment.crm
        speech = genesys.speech
        spoken: list[dict[str, Any]] = [speech.conversations, speech.links]
        return [
            genesys.customers,
            genesys.conversations,
            genesys.ended,
            crm.by_phone,
            *spoken,
        ]
