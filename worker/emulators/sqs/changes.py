"""Waiting for something to change, without asking again and again."""

import asyncio


class Changes:
    """A bell: everybody who waits is woken by the next ring."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait."""
        if self._waiting:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()

    async def wait(self, at_most_seconds: float | None) -> None:
        """Return at the next ring, or when the time is over; None waits for ever."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting], timeout=at_most_seconds)
        finally:
            self._waiting.discard(waiting)
