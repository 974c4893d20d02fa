"""A budget of requests: callers queue for it, live work first, and nobody waits in vain."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from worker.errors import RateLimited
from worker.resilience.pace import ROUNDING, Pace
from worker.telemetry import metrics

BURST_SECONDS = 5
"""A default burst is what the rate gives in that time."""

PLATFORM_WINDOW_SECONDS = 60
"""Genesys counts requests by the minute."""

NEARLY_SPENT = 0.9
"""Share of the platform's budget from which its headers slow us down."""

SLOWEST = 1 / 8
"""Share of the rate below which 429s do not push it."""


class _Waiter:
    def __init__(self, now: float, max_wait: float) -> None:
        self.granted: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        self.since: Final = now
        self.until: Final = now + max_wait


class Limiter:
    """The request budget of one upstream, shared by all its callers.

    In any minute at most `per_minute + burst` calls are granted. `clock` defaults to the running
    loop's; another one must keep step with the loop, whose timer wakes the queue.
    """

    def __init__(
        self,
        upstream: str,
        *,
        per_minute: float,
        burst: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        per_second = per_minute / 60
        burst = BURST_SECONDS * per_second if burst is None else burst
        self.upstream: Final = upstream
        self._clock = clock or asyncio.get_running_loop().time
        self._pace = Pace(per_second, max(1.0, burst), now=self._clock())
        self._live: deque[_Waiter] = deque()
        self._background: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._remaining = metrics.ratelimit_remaining.labels(upstream)
        self._waited = metrics.ratelimit_wait.labels(upstream)
        self._remaining.set(1)

    async def acquire(self, *, max_wait: float, background: bool = False) -> None:
        """Wait for leave to make one call: first come, first served, live before background.

        Raises RateLimited if the wait would be longer than `max_wait` seconds: as soon as that is
        known, mostly at once, with `retry_after` the wait that would have been needed.
        """
        now = self._clock()
        if not (self._live or self._background) and self._pace.take(now):
            # Nobody waits and there is budget, as mostly: no queue, no timer.
            self._waited.observe(0)
            self._remaining.set(self._pace.free(now))
            return
        queue = self._background if background else self._live
        waiter = _Waiter(now, max_wait)
        queue.append(waiter)
        self._serve()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        self._waited.observe(self._clock() - waiter.since)

    def spent_for(self) -> float:
        """Return the seconds until a call could be made now; 0 while there is budget."""
        return self._pace.wait(self._clock(), 1)

    def give_back(self) -> None:
        """Return a grant that was not used; the next in the queue gets it."""
        self._pace.give_back()
        self._serve()

    def pause_for(self, seconds: float) -> None:
        """Obey a 429: grant nothing for `seconds`, never clipped, never cut by a smaller value.

        The rate is halved for a minute after the pause, so that a budget shared with others is
        not run into again at once; replies of one burst count as one.
        """
        now = self._clock()
        metrics.ratelimit_throttled.labels(self.upstream).inc()
        if now >= self._pace.paused_until():
            halved = max(self._pace.current_per_second(now) / 2, self._pace.per_second * SLOWEST)
            self._pace.slow(now, halved, until=now + seconds + PLATFORM_WINDOW_SECONDS)
        self._pace.pause(now, seconds)
        self._serve()

    def observe(self, count: float, allowed: float, reset_seconds: float) -> None:
        """Heed `inin-ratelimit-count`, `-allowed` and `-reset` of a reply.

        Once nine tenths are used, what is left is spread over the time to the reset. That time is
        cut to the platform's window: these headers have been wrong before, a 429 has not.
        """
        if not (allowed > 0 and reset_seconds > 0 and count / allowed > NEARLY_SPENT):
            return
        now, seconds = self._clock(), min(reset_seconds, PLATFORM_WINDOW_SECONDS)
        self._pace.slow(now, max(0.0, allowed - count) / seconds, until=now + seconds)
        self._serve()

    def _serve(self) -> None:
        """Do all that is due now: grant, refuse, set the timer. Called after every change."""
        now = self._clock()
        self._forget_cancelled()
        while (queue := self._live or self._background) and self._pace.take(now):
            queue.popleft().granted.set_result(None)
        self._turn_away(now)
        self._arm(now)
        self._remaining.set(self._pace.free(now))

    def _forget_cancelled(self) -> None:
        """Drop waiters whose task was cancelled and has not run since to leave by itself."""
        for queue in (self._live, self._background):
            for waiter in [waiter for waiter in queue if waiter.granted.done()]:
                queue.remove(waiter)

    def _turn_away(self, now: float) -> None:
        """Refuse everybody whose turn would come too late; waiting would only hold their slot."""
        place = 1
        for queue in (self._live, self._background):
            for waiter in tuple(queue):
                wait = self._pace.wait(now, place)
                if now + wait <= waiter.until + ROUNDING:
                    place += 1
                    continue
                queue.remove(waiter)
                waiter.granted.set_exception(
                    RateLimited(f"request budget of {self.upstream} is spent", retry_after=wait)
                )

    def _arm(self, now: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._live or self._background:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._pace.wait(now, 1), self._serve)

    def _leave(self, waiter: _Waiter) -> None:
        """Undo a cancelled wait, whether it was over (granted or refused) or not."""
        if waiter.granted.cancelled():
            self._serve()
        elif waiter.granted.exception() is None:
            self.give_back()
