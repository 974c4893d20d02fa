"""A semaphore that hands out up to ten permits at once: no message is fetched that cannot run."""

import asyncio

LINGER_SECONDS = 0.01
"""How long a poller with few free slots waits for more, so that receives stay batches."""


class Slots:
    """Places for messages in work. `free + taken == count` holds at every await."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.free = count
        self.closed = False
        self._changed = asyncio.Event()

    @property
    def taken(self) -> int:
        """Places handed out and not yet given back."""
        return self.count - self.free

    async def take(self, at_most: int) -> int:
        """Wait for a place, then take up to `at_most`; 0 once `close` was called."""
        at_most = min(at_most, self.count)
        while not self.closed:
            # Without it, single slots freed by fast handlers would cost a call per message; those
            # that end at once are through after a turn of the loop.
            for pause in (0, LINGER_SECONDS):
                if 0 < self.free < at_most:
                    await asyncio.sleep(pause)
            if (room := min(self.free, at_most)) and not self.closed:
                self.free -= room
                return room
            if not self.closed:
                self._changed.clear()
                await self._changed.wait()
        return 0

    def give_back(self, places: int) -> None:
        """Return places. Raises ValueError on more than were taken: the limit would be gone."""
        if places > self.taken:
            raise ValueError(f"{places} places given back, {self.taken} taken")
        self.free += places
        self._changed.set()

    def close(self) -> None:
        """Hand out nothing more; those who wait get 0."""
        self.closed = True
        self._changed.set()
