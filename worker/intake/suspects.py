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
from contextlib import asynccontextmanager, suppress

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


class Suspects:
    """Lets ordinary messages run together, and each suspect by itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._born = clock()
        self._changed = asyncio.Condition()
        self._together = 0
        self._alone = False
        self._waiting = 0
        self._window = 1

    def meet(self, message: Message, *, known: bool) -> bool:
        """Note a message that is begun; True when it should run alone.

        `known`: this process saw it fail, and live.
        """
        suspect = self._young and not known and message.receive_count >= SUSPICIOUS_RECEIVES
        self._window = 1 if suspect else min(NO_LIMIT, self._window * 2)
        return suspect

    def allowance(self) -> int:
        """Return how many messages more may be in hand: none while a suspect is."""
        if not self._young:
            return NO_LIMIT
        if self._waiting or self._alone:
            return 0
        return self._window - self._together

    @asynccontextmanager
    async def place(self, *, alone: bool, quiet: bool = False) -> AsyncIterator[None]:
        """Wait for a place and keep it for the block; what is in hand goes before a suspect.

        `quiet`: a suspect waits until what was done before it is deleted.
        """
        if alone:
            async with self._apart():
                if quiet:
                    await asyncio.sleep(QUIET_SECONDS)
                yield
            return
        if self._alone:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._alone)
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            if self._waiting:
                async with self._changed:
                    self._changed.notify_all()

    @property
    def _young(self) -> bool:
        return self._clock() - self._born < YOUNG_SECONDS

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            async with self._changed:
                await self._until_alone()
                self._alone = True
        finally:
            self._waiting -= 1
        log.warning("crash_suspect_runs_alone")
        try:
            yield
        finally:
            self._alone = False
            async with self._changed:
                self._changed.notify_all()

    async def _until_alone(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(COMPANY_SECONDS):
                await self._changed.wait_for(lambda: not (self._alone or self._together))
                return
        # Beside what will not end, but never two suspects at once.
        await self._changed.wait_for(lambda: not self._alone)
