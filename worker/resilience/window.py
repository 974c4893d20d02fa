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

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count one call that ended at `now`."""
        number = self._expire(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, Tally()))
        tally = self._buckets[-1][1]
        tally.calls += 1
        tally.failed += failed
        tally.slow += slow

    def tally(self, now: float) -> Tally:
        """Return the sums over the window that ends at `now`."""
        self._expire(now)
        tallies = [tally for _, tally in self._buckets]
        return Tally(
            calls=sum(tally.calls for tally in tallies),
            failed=sum(tally.failed for tally in tallies),
            slow=sum(tally.slow for tally in tallies),
        )

    def clear(self) -> None:
        """Forget all calls."""
        self._buckets.clear()

    def _expire(self, now: float) -> int:
        number = int(now // self._bucket_seconds)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            self._buckets.popleft()
        return number
