"""Counts of the calls of the last seconds, in ten buckets. Pure."""

from collections import deque
from dataclasses import dataclass

BUCKETS = 10


@dataclass(slots=True)
class Tally:
    """How calls went."""

    calls: int = 0
    failed: int = 0
    slow: int = 0


class Window:
    """A sliding time window. Buckets, so that memory does not grow with the number of calls.

    The span counted is between nine and ten tenths of `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._bucket_seconds = seconds / BUCKETS
        self._buckets: deque[tuple[int, Tally]] = deque()
        self._sums = Tally()

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count one call that ended at `now`."""
        number = self._expire(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, Tally()))
        # The sums are kept beside the buckets: they are asked for after every single call.
        for tally in (self._buckets[-1][1], self._sums):
            tally.calls += 1
            tally.failed += failed
            tally.slow += slow

    def tally(self, now: float) -> Tally:
        """Return the sums over the window that ends at `now`; they change with the next call."""
        self._expire(now)
        return self._sums

    def clear(self) -> None:
        """Forget all calls."""
        self._buckets.clear()
        self._sums = Tally()

    def _expire(self, now: float) -> int:
        number = int(now // self._bucket_seconds)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            _, old = self._buckets.popleft()
            self._sums.calls -= old.calls
            self._sums.failed -= old.failed
            self._sums.slow -= old.slow
        return number
