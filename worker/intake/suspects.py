"""Messages that may have killed the process: each runs alone, so that it takes no other with it.

A message that was received before, without a word of its outcome, was in hand when its process
died, or was given back in a hurry. Only a young process asks: in an old one the same signs come
from outages and drains.

Running alone is not enough: what merely waits in the same process dies with it, too, and after a
crash everything that was in hand is suspect. Taken ten at a time, healthy messages would spend
their receives on the deaths of one among them. So a young process begins with one message in hand,
doubles that with each that is no suspect, and goes back to one with each that is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import structlog

from worker.intake.message import Message
from worker.intake.valve import NO_LIMIT

log = structlog.get_logger(__name__)

SUSPICIOUS_RECEIVES = 3
"""From the third receive on: two processes did not survive it, or lost it otherwise."""

YOUNG_SECONDS = 300.0

COMPANY_SECONDS = 60.0
"""How long a suspect waits until nothing else runs. A report may run for an hour."""

QUIET_SECONDS = 0.2
"""Pause before a suspect: what is done beside it is deleted by then."""


class _Company:
    """Those that run together, and whether a suspect keeps them waiting.

    One object that all of them enter and leave: a generator for each message costs five times that.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Condition()
        self.together = 0
        self.alone = False
        """Whether a suspect runs."""

        self.waiting = 0
        """Suspects that wait until nothing else runs."""

    async def __aenter__(self) -> None:
        if self.alone:
            async with self.changed:
                await self.changed.wait_for(lambda: not self.alone)
        self.together += 1

    async def __aexit__(self, *_: object) -> None:
        self.together -= 1
        if self.waiting:
            await self.tell()

    async def tell(self) -> None:
        """Let all that wait look again."""
        async with self.changed:
            self.changed.notify_all()


class Suspects:
    """Lets ordinary messages run together, and each suspect by itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._born = clock()
        self._company = _Company()
        self._window = 1

    def meet(self, message: Message, *, known: bool) -> bool:
        """Note a message that is begun; True when it should run alone.

        `known`: this process saw it fail, and live.
        """
        suspect = message.receive_count >= SUSPICIOUS_RECEIVES and not known and self._young
        self._window = 1 if suspect else min(NO_LIMIT, self._window * 2)
        return suspect

    def allowance(self) -> int:
        """Return how many messages more may be in hand: none while a suspect is."""
        if not self._young:
            return NO_LIMIT
        if self._company.waiting or self._company.alone:
            return 0
        return self._window - self._company.together

    def place(self, *, alone: bool, quiet: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for a place and keep it for the block; what is in hand goes before a suspect.

        `quiet`: a suspect waits until what was done before it is deleted.
        """
        return self._apart(quiet=quiet) if alone else self._company

    @property
    def _young(self) -> bool:
        return self._clock() - self._born < YOUNG_SECONDS

    @asynccontextmanager
    async def _apart(self, *, quiet: bool) -> AsyncIterator[None]:
        company = self._company
        company.waiting += 1
        try:
            async with company.changed:
                await self._until_alone()
                company.alone = True
        finally:
            company.waiting -= 1
        log.warning("crash_suspect_runs_alone")
        try:
            if quiet:
                await asyncio.sleep(QUIET_SECONDS)
            yield
        finally:
            company.alone = False
            await company.tell()

    async def _until_alone(self) -> None:
        company = self._company
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPANY_SECONDS):
                await company.changed.wait_for(lambda: not (company.alone or company.together))
                return
        # Beside what will not end, but never two suspects at once.
        await company.changed.wait_for(lambda: not company.alone)
