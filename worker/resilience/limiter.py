"""A budget of requests: callers queue for it, live work first and its jobs by turns.

A caller that cannot be served in time is refused at once.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Final

from worker.errors import RateLimited
from worker.resilience.fleet import FleetBudget
from worker.resilience.retry import PAUSE_CAP_SECONDS, TRIAL_SECONDS, AskedPause
from worker.telemetry import metrics

__all__ = ["FleetBudget", "Limiter", "TokenBucket"]

ROUNDING = 1e-6
"""Part of a token that floating-point time may lack. Grants do not gain by it: it is owed."""


class TokenBucket:
    """Tokens per second up to `burst`; one token is one call. Every `now` is monotonic seconds.

    From now on the rate follows a schedule: nothing until the pause ends, a lower rate until the
    slow spell ends, the full rate after that.
    """

    def __init__(self, per_second: float, burst: float, *, now: float) -> None:
        self.per_second: Final = per_second
        self.burst: Final = burst
        self._tokens = burst
        self._counted_at = now
        self._paused_until = now
        self._slow_until = now
        self._slow_per_second = per_second

    def acquire(self, now: float) -> bool:
        """Acquire a token if there is one and no pause."""
        self._count(now)
        if now < self._paused_until or self._tokens < 1 - ROUNDING:
            return False
        self._tokens -= 1
        return True

    def refund(self) -> None:
        """Return the token of a call that was not made."""
        self._tokens = min(self.burst, self._tokens + 1)

    def wait(self, now: float, place: int) -> float:
        """Return the seconds until the caller at `place` (1 is the next one) gets its token."""
        self._count(now)
        at, missing = now, place - self._tokens
        if missing > ROUNDING:
            for until, per_second in self._rate_schedule():
                earned = (until - at) * per_second if until > at and per_second else 0.0
                if earned >= missing:
                    at += missing / per_second
                    break
                missing -= earned
                at = max(at, until)
        return max(at, self._paused_until) - now

    def ready_within(self, now: float, seconds: float) -> int:
        """Return how many calls could be made in that time; 0 when none could be made now."""
        if self.wait(now, 1):
            return 0
        return int(self._tokens + seconds * self.current_per_second(now) + ROUNDING)

    def pause(self, now: float, seconds: float) -> None:
        """Grant nothing for that long; a pause that ends later stands.

        One saved token is left: the first call after a 429 shall ask, not a burst.
        """
        self._count(now)
        self._tokens = min(self._tokens, 1.0)
        self._paused_until = max(self._paused_until, now + seconds)

    def lift(self, now: float) -> None:
        """End the pause now."""
        self._count(now)
        self._paused_until = min(self._paused_until, now)

    def slow(self, now: float, per_second: float, *, until: float) -> None:
        """Earn at most `per_second` until then; the stricter of two overlapping spells stands."""
        self._count(now)
        if now < self._slow_until:
            per_second, until = min(per_second, self._slow_per_second), max(until, self._slow_until)
        self._slow_per_second = min(per_second, self.per_second)
        self._slow_until = until

    def paused_until(self) -> float:
        """Return when the last pause ends or ended."""
        return self._paused_until

    def current_per_second(self, now: float) -> float:
        """Return the rate that holds now, pauses aside."""
        return self._slow_per_second if now < self._slow_until else self.per_second

    def free(self, now: float) -> float:
        """Return the share of the burst that is there, 0..1; 0 in a pause."""
        self._count(now)
        return 0.0 if now < self._paused_until else max(0.0, self._tokens / self.burst)

    def _count(self, now: float) -> None:
        at = self._counted_at
        if now <= at:
            return
        if at >= self._paused_until and at >= self._slow_until:  # the last step of the schedule
            self._tokens = min(self.burst, self._tokens + (now - at) * self.per_second)
            self._counted_at = now
            return
        for until, per_second in self._rate_schedule():
            if until > at:
                self._tokens += (min(until, now) - at) * per_second
                at = min(until, now)
        self._tokens = min(self.burst, self._tokens)
        self._counted_at = now

    def _rate_schedule(self) -> tuple[tuple[float, float], ...]:
        return (
            (self._paused_until, 0.0),
            (self._slow_until, self._slow_per_second),
            (inf, self.per_second),
        )


BURST_SECONDS = 5
"""A default burst is what the rate gives in that time."""

PLATFORM_WINDOW_SECONDS = 60
"""Genesys counts requests by the minute."""

NEARLY_EXHAUSTED = 0.9
"""Share of the platform's budget from which its headers slow us down."""

SLOWEST = 1 / 8
"""Share of the rate below which 429s do not push it."""

FLEET_GRANT_SECONDS = 2.0
"""Grants of the fleet's budget are asked for calls that our own bucket allows within that time."""


class _Waiter:
    def __init__(self, now: float, max_wait: float, job: str) -> None:
        self.granted: Final[asyncio.Future[bool]] = asyncio.get_running_loop().create_future()
        """The result is True for the one call that tries after a pause beyond the cap."""
        self.since: Final = now
        self.until: Final = now + max_wait
        self.job: Final = job


class _Turns:
    """Waiters in the order in which they are served: one of each job, then one of each again."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))

    def __iter__(self) -> Iterator[_Waiter]:
        """Yield a snapshot, in order."""
        waiting = [iter(tuple(waiters)) for waiters in self._jobs.values()]
        while waiting:
            left = []
            for waiters in waiting:
                if (waiter := next(waiters, None)) is not None:
                    yield waiter
                    left.append(waiters)
            waiting = left

    def add(self, waiter: _Waiter) -> None:
        self._jobs.setdefault(waiter.job, deque()).append(waiter)

    def pop(self) -> _Waiter:
        """Take the next one out; its job's next turn is after all others'."""
        job, waiters = self._jobs.popitem(last=False)
        waiter = waiters.popleft()
        if waiters:
            self._jobs[job] = waiters
        return waiter

    def remove(self, waiter: _Waiter) -> None:
        waiters = self._jobs[waiter.job]
        waiters.remove(waiter)
        if not waiters:
            del self._jobs[waiter.job]


class Limiter:
    """The request budget of one upstream, shared by all its callers.

    In any minute at most `per_minute + burst` calls are granted. `clock` defaults to the running
    loop's; another one must keep step with the loop, whose timer wakes the queue. With a `fleet`
    budget each call takes a grant of that, too.
    """

    def __init__(
        self,
        upstream: str,
        *,
        per_minute: float,
        burst: float | None = None,
        pause_cap_seconds: float = PAUSE_CAP_SECONDS,
        clock: Callable[[], float] | None = None,
        fleet: FleetBudget | None = None,
    ) -> None:
        per_second = per_minute / 60
        burst = BURST_SECONDS * per_second if burst is None else burst
        self.upstream: Final = upstream
        self.calls = 0
        """Calls granted so far."""
        self._clock = clock or asyncio.get_running_loop().time
        self._bucket = TokenBucket(per_second, max(1.0, burst), now=self._clock())
        self._asked = AskedPause(pause_cap_seconds)
        self._live = _Turns()
        self._background = _Turns()
        self._timer: asyncio.TimerHandle | None = None
        self._fleet = fleet
        if fleet:
            fleet.changed = self._serve
        self._remaining = metrics.ratelimit_remaining.labels(upstream)
        self._waited = metrics.ratelimit_wait.labels(upstream)
        self._remaining.set(1)

    async def acquire(self, *, max_wait: float, job: str = "", background: bool = False) -> bool:
        """Wait until one call may be made: live before background, jobs by turns, each in order.

        True for the call that tries whether a pause beyond the cap still holds: its caller says
        how it went by `tried`. Raises RateLimited if the wait would be longer than `max_wait`
        seconds: as soon as that is known, mostly at once, with `retry_after` the wait that would
        have been needed.
        """
        if (trial := self.acquire_now()) is not None:
            return trial
        now = self._clock()
        queue = self._background if background else self._live
        waiter = _Waiter(now, max_wait, "" if background else job)
        queue.add(waiter)
        self._serve()
        try:
            trial = await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter)
            raise
        self._waited.observe(self._clock() - waiter.since)
        return trial

    def acquire_now(self) -> bool | None:
        """As `acquire`, without a queue; None where that would wait, or reject."""
        now = self._clock()
        if self._live or self._background or not self._take(now):
            return None
        self._waited.observe(0)
        self._remaining.set(self._bucket.free(now))
        return self._begins_trial(now)

    def exhausted_for(self) -> float:
        """Return the seconds until a call could be made now; 0 while there is budget."""
        return self._wait(self._clock())

    def asked_pause(self) -> tuple[float, float] | None:
        """Return the seconds left of a pause and those a reply asked for; None without one."""
        return self._asked.asked(self._clock())

    def refund(self) -> None:
        """Return a grant that was not used; the next in the queue gets it."""
        self._bucket.refund()
        self.calls -= 1
        if self._fleet:
            self._fleet.refund()
        self._serve()

    def pause_for(self, seconds: float) -> None:
        """Obey a 429: grant nothing for `seconds`, up to the cap; never cut by a smaller value.

        The rate is halved for a minute after the pause, so that a budget shared with others is
        not run into again at once; replies of one burst count as one.
        """
        now = self._clock()
        metrics.ratelimit_throttled.labels(self.upstream).inc()
        if self._asked.trying:
            self._bucket.lift(now)
        obeyed = self._asked.ask(now, seconds)
        if now >= self._bucket.paused_until():
            halved = max(
                self._bucket.current_per_second(now) / 2, self._bucket.per_second * SLOWEST
            )
            self._bucket.slow(now, halved, until=now + obeyed + PLATFORM_WINDOW_SECONDS)
        self._bucket.pause(now, obeyed)
        self._serve()

    def tried(self, *, answered: bool) -> None:
        """Let the others go on after the call that tried; not `answered`: the next one tries."""
        now = self._clock()
        if self._asked.trying:
            self._asked.end_trial(now, answered=answered)
            self._bucket.lift(now)
            self._serve()

    def observe(self, count: float, allowed: float, reset_seconds: float) -> None:
        """Heed `inin-ratelimit-count`, `-allowed` and `-reset` of a reply.

        Once nine tenths are used, what is left is spread over the time to the reset. That time is
        cut to the platform's window: these headers have been wrong before, a 429 has not.
        """
        if not (allowed > 0 and reset_seconds > 0 and count / allowed > NEARLY_EXHAUSTED):
            return
        now, seconds = self._clock(), min(reset_seconds, PLATFORM_WINDOW_SECONDS)
        self._bucket.slow(now, max(0.0, allowed - count) / seconds, until=now + seconds)
        self._serve()

    def _serve(self) -> None:
        """Do all that is due now: grant, refuse, set the timer. Called after every change."""
        now = self._clock()
        self._forget_cancelled()
        while (queue := self._live or self._background) and self._take(now):
            queue.pop().granted.set_result(self._begins_trial(now))
        self._reject(now)
        self._schedule(now)
        self._remaining.set(self._bucket.free(now))

    def _begins_trial(self, now: float) -> bool:
        if not self._asked.begin_trial(now):
            return False
        self._bucket.pause(now, TRIAL_SECONDS)  # the others wait for what it finds out
        return True

    def _forget_cancelled(self) -> None:
        """Drop waiters whose task was cancelled and has not run since to leave by itself."""
        for queue in (self._live, self._background):
            for waiter in queue:
                if waiter.granted.done():
                    queue.remove(waiter)

    def _reject(self, now: float) -> None:
        """Reject waiters whose turn would come too late; waiting would only hold their permits."""
        place = 1
        for queue in (self._live, self._background):
            for waiter in queue:
                wait = self._bucket.wait(now, place)
                if now + wait <= waiter.until + ROUNDING:
                    place += 1
                    continue
                queue.remove(waiter)
                reason = f"request budget of {self.upstream} is exhausted"
                wait = wait or self._wait(now)
                waiter.granted.set_exception(RateLimited(reason, retry_after=wait))

    def _take(self, now: float) -> bool:
        is_shared = self._fleet is None or (not self._bucket.wait(now, 1) and self._fleet.take())
        taken = is_shared and self._bucket.acquire(now)
        self.calls += taken
        return taken

    def _wait(self, now: float) -> float:
        """Return the seconds until a call could be made, as far as it is known."""
        wait = self._bucket.wait(now, 1)
        if self._fleet is None:
            return wait
        known = self._fleet.wait()
        return max(wait, self._fleet.asks_in() if known == inf else known)

    def _schedule(self, now: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._fleet:
            # Grants for calls that our own bucket does not let through soon would be lost.
            most = self._bucket.ready_within(now, FLEET_GRANT_SECONDS)
            self._fleet.want(len(self._live), len(self._background), most)
        if self._live or self._background:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._wakes_in(now), self._serve)

    def _wakes_in(self, now: float) -> float:
        wait = self._bucket.wait(now, 1)
        if self._fleet is None:
            return wait
        # When a grant comes may not be known: the fleet's budget calls, or a caller's wait ends.
        known = self._fleet.wait()
        at = wait if wait and known == inf else max(wait, known)
        ends = min(waiter.until for queue in (self._live, self._background) for waiter in queue)
        return max(0.0, min(at, ends + 2 * ROUNDING - now))

    def _leave(self, waiter: _Waiter) -> None:
        """Undo a cancelled wait, whether it was over (granted or refused) or not."""
        if waiter.granted.cancelled():
            self._serve()
        elif waiter.granted.exception() is None:
            if waiter.granted.result():
                self.tried(answered=False)
            self.refund()
