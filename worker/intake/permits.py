"""Permits: how many messages may be worked on at once, and how several queues share them.

Half of an equal part is reserved for each queue, the rest is free to all. While a queue below its
equal part waits, one above its own gets no new permit: an upstream that hangs costs its queue only.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

LINGER_SECONDS = 0.01
"""How long a poller with few permits waits for more, so that receives stay batches."""


class _Waiter:
    __slots__ = ("at_most", "granted", "queue")

    def __init__(self, queue: str, at_most: int) -> None:
        self.queue = queue
        self.at_most = at_most
        self.granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class Permits:
    """A semaphore over all queues; `free + used == count` holds at every await."""

    def __init__(self, count: int, queues: Sequence[str]) -> None:
        self.count = count
        self.used = dict.fromkeys(queues, 0)
        self.closed = False
        self._all_used = 0
        self._equal = count // len(queues)
        self._reserved = self._equal // 2 if len(queues) > 1 else 0
        self._messages: deque[_Waiter] = deque()
        self._pollers: deque[_Waiter] = deque()
        """Served after the messages: what is leased already must not wait for a poll."""

    @property
    def free(self) -> int:
        """Permits that no queue has."""
        return self.count - self._all_used

    def available(self, queue: str, at_most: int) -> int:
        """Return how many permits the queue could have now."""
        free = self.count - self._all_used
        if len(self.used) == 1:
            return min(at_most, free)
        for other, used in self.used.items():
            if other != queue and used < self._reserved:
                free -= self._reserved - used
        if any(one != queue and self.used[one] < self._equal for one in self._waiting()):
            free = min(free, self._equal - self.used[queue])
        return max(0, min(at_most, free))

    async def acquire(self, queue: str) -> bool:
        """Wait for the permit of one message in flight; False once `close` was called."""
        return bool(await self._acquire(queue, 1, self._messages))

    async def acquire_some(self, queue: str, at_most: int) -> int:
        """Wait for a permit, then take up to `at_most` for a receive; 0 once `close` was called."""
        at_most = min(at_most, self.count)
        # Without it, single permits freed by quick handlers would cost a call per message; those
        # that end at once are through after a turn of the loop.
        for pause in (0, LINGER_SECONDS):
            if 0 < self.available(queue, at_most) < at_most and not self.closed:
                await asyncio.sleep(pause)
        return await self._acquire(queue, at_most, self._pollers)

    def release(self, queue: str, permits: int = 1) -> None:
        """Return permits. Raises ValueError on more than were taken: the limit would be gone."""
        if permits > self.used[queue]:
            raise ValueError(f"{permits} permits released, {self.used[queue]} taken")
        self.used[queue] -= permits
        self._all_used -= permits
        if self._messages or self._pollers:
            self._serve()

    def close(self) -> None:
        """Grant nothing more; those that wait get none."""
        self.closed = True
        for line in self._lines():
            while line:
                waiter = line.popleft()
                if not waiter.granted.done():
                    waiter.granted.set_result(0)

    def _waiting(self) -> Iterator[str]:
        """Yield the queue of each that waits."""
        return (waiter.queue for line in self._lines() for waiter in line)

    def _lines(self) -> tuple[deque[_Waiter], deque[_Waiter]]:
        return self._messages, self._pollers

    async def _acquire(self, queue: str, at_most: int, line: deque[_Waiter]) -> int:
        if self.closed:
            return 0
        if granted := self.available(queue, at_most):
            self._grant(queue, granted)
            return granted
        waiter = _Waiter(queue, at_most)
        line.append(waiter)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter, line)
            raise

    def _grant(self, queue: str, permits: int) -> None:
        self.used[queue] += permits
        self._all_used += permits

    def _serve(self) -> None:
        # Again after each grant: the last of another queue to wait may have been served by it, and
        # one above its equal part gets what is left then.
        while self._serve_some():
            pass

    def _serve_some(self) -> bool:
        """Grant what can be granted; True when that was something."""
        served = False
        for line in self._lines():
            for waiter in tuple(line):
                if waiter.granted.done():  # cancelled, and not yet gone by itself
                    line.remove(waiter)
                elif self._all_used < self.count and (
                    granted := self.available(waiter.queue, waiter.at_most)
                ):
                    line.remove(waiter)
                    self._grant(waiter.queue, granted)
                    waiter.granted.set_result(granted)
                    served = True
        return served

    def _leave(self, waiter: _Waiter, line: deque[_Waiter]) -> None:
        """Undo a cancelled wait, whether it was over or not."""
        if waiter in line:
            line.remove(waiter)
            self._serve()
        elif not waiter.granted.cancelled() and (granted := waiter.granted.result()):
            self.release(waiter.queue, granted)
