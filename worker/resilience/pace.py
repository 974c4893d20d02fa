"""A token bucket that can be paused and slowed: how many calls may be made, and when. Pure."""

from math import inf
from typing import Final

ROUNDING = 1e-6
"""Part of a token that floating-point time may lack. Grants do not gain by it: it is owed."""


class Pace:
    """Tokens per second up to `burst`; one token is one call. Every `now` is monotonic seconds.

    From now on the rate is a staircase: nothing until the pause ends, a lower rate until the slow
    spell ends, the full rate after that.
    """

    def __init__(self, per_second: float, burst: float, *, now: float) -> None:
        self.per_second: Final = per_second
        self.burst: Final = burst
        self._tokens = burst
        self._counted_at = now
        self._paused_until = now
        self._slow_until = now
        self._slow_per_second = per_second

    def take(self, now: float) -> bool:
        """Take a token if there is one and no pause."""
        self._count(now)
        if now < self._paused_until or self._tokens < 1 - ROUNDING:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """Return the token of a call that was not made."""
        self._tokens = min(self.burst, self._tokens + 1)

    def wait(self, now: float, place: int) -> float:
        """Return the seconds until the caller at `place` (1 is the next one) gets its token."""
        self._count(now)
        at, missing = now, place - self._tokens
        if missing > ROUNDING:
            for until, per_second in self._staircase():
                earned = (until - at) * per_second if until > at and per_second else 0.0
                if earned >= missing:
                    at += missing / per_second
                    break
                missing -= earned
                at = max(at, until)
        return max(at, self._paused_until) - now

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
        if at >= self._paused_until and at >= self._slow_until:  # the last step of the staircase
            self._tokens = min(self.burst, self._tokens + (now - at) * self.per_second)
            self._counted_at = now
            return
        for until, per_second in self._staircase():
            if until > at:
                self._tokens += (min(until, now) - at) * per_second
                at = min(until, now)
        self._tokens = min(self.burst, self._tokens)
        self._counted_at = now

    def _staircase(self) -> tuple[tuple[float, float], ...]:
        return (
            (self._paused_until, 0.0),
            (self._slow_until, self._slow_per_second),
            (inf, self.per_second),
        )
