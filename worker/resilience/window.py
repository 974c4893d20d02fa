"""How the calls of the last seconds went, message by message. Pure."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

BUCKETS = 10

MOST_MESSAGES = 1000
"""Of more messages in one window the latest are judged: memory does not grow with the rate."""


@dataclass(slots=True)
class Tally:
    """What the window holds."""

    calls: int = 0
    messages: int = 0
    failing: int = 0
    """Messages whose latest call failed."""


class Window:
    """A sliding time window over calls; each message counts once, by its latest outcome.

    The span counted is between nine and ten tenths of `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._bucket_seconds = seconds / BUCKETS
        self._buckets: deque[list[int]] = deque()
        """Number of the bucket, calls in it."""
        self._latest: OrderedDict[Hashable, tuple[int, bool]] = OrderedDict()
        """Bucket and failure of each message's latest call, the oldest first."""
        self._sums = Tally()

    def add(self, now: float, messages: Iterable[Hashable], *, failed: bool) -> None:
        """Count one call that ended at `now` and was made for these messages."""
        number = self._expire(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0])
        self._buckets[-1][1] += 1
        self._sums.calls += 1
        for message in messages:
            if (before := self._latest.pop(message, None)) is not None:
                self._drop(before)
            self._latest[message] = (number, failed)
            self._sums.messages += 1
            self._sums.failing += failed
        while len(self._latest) > MOST_MESSAGES:
            self._drop_oldest()

    def tally(self, now: float) -> Tally:
        """Return the sums over the window that ends at `now`; they change with the next call."""
        self._expire(now)
        return self._sums

    def clear(self) -> None:
        """Forget all calls."""
        self._buckets.clear()
        self._latest.clear()
        self._sums = Tally()

    def _expire(self, now: float) -> int:
        number = int(now // self._bucket_seconds)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            self._sums.calls -= self._buckets.popleft()[1]
        while self._latest and next(iter(self._latest.values()))[0] <= number - BUCKETS:
            self._drop_oldest()
        return number

    def _drop_oldest(self) -> None:
        self._drop(self._latest.popitem(last=False)[1])

    def _drop(self, outcome: tuple[int, bool]) -> None:
        self._sums.messages -= 1
        self._sums.failing -= outcome[1]
