"""Messages that may have killed the process: each runs alone, so that it takes no other with it.

A message that was received before, without a word of its outcome, was in hand when its process
died, or was given back in a hurry. Only a young process asks: in an old one the same signs come
from outages and drains.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from worker.intake.message import Message

log = structlog.get_logger(__name__)

SUSPICIOUS_RECEIVES = 3
"""From the third receive on: two processes did not survive it, or lost it otherwise."""

YOUNG_SECONDS = 300.0


class Suspects:
    """Lets ordinary messages run together, and each suspect by itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._born = clock()
        self._changed = asyncio.Condition()
        self._together = 0
        self._alone = False
        self._waiting = 0

    def is_suspect(self, message: Message, *, known: bool) -> bool:
        """Whether it should run alone; `known`: this process saw it fail, and live."""
        is_young = self._clock() - self._born < YOUNG_SECONDS
        return is_young and not known and message.receive_count >= SUSPICIOUS_RECEIVES

    @asynccontextmanager
    async def place(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for a place and keep it for the block; a waiting suspect goes first."""
        if alone:
            async with self._apart():
                yield
            return
        if self._alone or self._waiting:
            async with self._changed:
                await self._changed.wait_for(lambda: not (self._alone or self._waiting))
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            if self._waiting:
                async with self._changed:
                    self._changed.notify_all()

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not (self._alone or self._together))
                self._alone = True
        finally:
            self._waiting -= 1
            if not self._alone:  # cancelled while it waited
                async with self._changed:
                    self._changed.notify_all()
        log.warning("crash_suspect_runs_alone")
        try:
            yield
        finally:
            self._alone = False
            async with self._changed:
                self._changed.notify_all()
