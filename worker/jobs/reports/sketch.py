"""Quantiles of any number of values in bounded memory, to 1 % of the true one.

Values fall into buckets whose bounds grow by a constant factor, as in DDSketch (Masson, Rim, Lee,
2019): https://arxiv.org/abs/1908.10693. Two sketches add up to the sketch of all their values.
"""

import math
from collections import Counter

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(_GAMMA)
_ROUNDING = 1e-6  # 0.07 * 100 is a hair above 7 and must not reach for the eighth value


class Sketch:
    """Counts of whole numbers from 0 up; a number of n digits needs at most 116 n buckets."""

    __slots__ = ("buckets", "count", "largest", "smallest", "zeros")

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.zeros = 0
        self.count = 0
        self.smallest = math.inf
        self.largest = 0.0

    def add(self, value: int) -> None:
        """Count one value; raises ValueError below 0."""
        if value < 0:
            raise ValueError("a sketch holds no negative values")
        if value:
            self.buckets[math.ceil(math.log(value) * _PER_LOG)] += 1
        else:
            self.zeros += 1
        self.count += 1
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)

    def merge(self, other: "Sketch") -> None:
        """Take in all values of another sketch."""
        self.buckets.update(other.buckets)
        self.zeros += other.zeros
        self.count += other.count
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    def quantile(self, share: float) -> float:
        """Return the value below or at which `share` of all values lie (nearest rank).

        Within `RELATIVE_ERROR` of the exact one; 0 when there are no values.
        """
        rank = max(1, math.ceil(share * self.count - _ROUNDING))
        seen = self.zeros
        if rank <= seen or not self.count:
            return 0.0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                middle = 2 * _GAMMA**bucket / (_GAMMA + 1)
                return min(max(middle, self.smallest), self.largest)
        return self.largest
