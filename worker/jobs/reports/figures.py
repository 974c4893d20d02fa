"""The figures of a report: totals by group, with percentiles. Pure.

Quantiles are exact up to `EXACT_VALUES` values. Those of more take bounded memory, to 1 % of the
true one: values fall into buckets whose bounds grow by a constant factor, as in DDSketch (Masson,
Rim, Lee: VLDB 2019). Two sketches add up to the sketch of all their values.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from operator import attrgetter
from types import MappingProxyType

from worker.jobs.reports.rows import DIMENSIONS, Row

RELATIVE_ERROR = 0.01

EXACT_VALUES = 5_000
"""Values kept as they are: 40 KB, no more than the buckets of as many would take."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(_GAMMA)
_ROUNDING = 1e-6  # 0.07 * 100 is a hair above 7 and must not reach for the eighth value


class Sketch:
    """Counts of whole numbers from 0 up; a number of n digits needs at most 116 n buckets."""

    __slots__ = ("buckets", "count", "largest", "smallest", "values", "zeros")

    def __init__(self) -> None:
        self.values: array[int] | None = array("Q")
        """All values, in any order; None once there are too many, and buckets count them."""

        self.buckets: Counter[int] = Counter()
        self.zeros = 0
        self.count = 0
        self.smallest = math.inf
        self.largest = 0.0

    @property
    def is_exact(self) -> bool:
        """Return whether quantiles are exact."""
        return self.values is not None

    def add(self, value: int) -> None:
        """Count one value; raises ValueError below 0."""
        if value < self.smallest:
            if value < 0:
                raise ValueError("a sketch holds no negative values")
            self.smallest = value
        if value > self.largest:  # noqa: PLR1730  max is a call, two for each conversation
            self.largest = value
        self.count += 1
        if self.values is None:
            self._count(value)
            return
        self.values.append(value)
        if self.count > EXACT_VALUES:
            self._spill()

    def merge(self, other: "Sketch") -> None:
        """Take in all values of another sketch."""
        self.count += other.count
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)
        if self.values is not None and other.values is not None:
            self.values.extend(other.values)
            if self.count > EXACT_VALUES:
                self._spill()
            return
        self._spill()
        self.buckets.update(other.buckets)
        self.zeros += other.zeros
        for value in other.values or ():
            self._count(value)

    def quantiles(self, *shares: float) -> list[float]:
        """Return for each share the value below or at which it lies (nearest rank).

        Exact up to `EXACT_VALUES`, else within `RELATIVE_ERROR`; 0 when there are no values.
        """
        ranks = [max(1, math.ceil(share * self.count - _ROUNDING)) for share in shares]
        if self.values:
            ordered = sorted(self.values)
            return [ordered[rank - 1] for rank in ranks]
        return [self._at(rank) for rank in ranks]

    def _at(self, rank: int) -> float:
        seen = self.zeros
        if rank <= seen or not self.count:
            return 0.0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                middle = 2 * _GAMMA**bucket / (_GAMMA + 1)
                return min(max(middle, self.smallest), self.largest)
        return self.largest

    def _spill(self) -> None:
        values, self.values = self.values, None
        for value in values or ():
            self._count(value)

    def _count(self, value: int) -> None:
        if value:
            self.buckets[math.ceil(math.log(value) * _PER_LOG)] += 1
        else:
            self.zeros += 1


MAX_WRAPUP_CODES = 200
"""Distinct codes kept per group; an organisation has some dozens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The metrics of one group, not rounded: each is rounded once, where it is written."""

    conversation_count: int
    avg_duration_seconds: Decimal
    talk_ratio: Decimal
    """Share of the total duration; above 1 when several agents talk at once."""

    hold_ratio: Decimal
    efficiency_score: Decimal
    """max(0, 100 - 50 x hold ratio)."""

    unique_wrapup_codes: tuple[str, ...]
    p50_duration_seconds: Decimal
    p90_duration_seconds: Decimal
    p99_duration_seconds: Decimal
    unlisted_wrapup_codes: int = 0
    """How often a code was met that found no place among `unique_wrapup_codes`."""

    is_exact: bool = True
    """False: the percentiles are within 1 % of the exact ones."""


@dataclass(slots=True)
class Totals:
    """Sums of one group, in ms; two of them add up to the totals of all their conversations."""

    count: int = 0
    duration_ms: int = 0
    talk_ms: int = 0
    hold_ms: int = 0
    durations: Sketch = field(default_factory=Sketch)
    wrapup_codes: set[str] = field(default_factory=set)
    unlisted_wrapup_codes: int = 0

    def add(self, row: Row, duration_ms: int) -> None:
        """Count one finished conversation."""
        self.count += 1
        self.duration_ms += duration_ms
        self.talk_ms += row.talk_ms
        self.hold_ms += row.hold_ms
        self.durations.add(duration_ms)
        for code in row.wrapup_codes:
            self._list(code)

    def merge(self, other: "Totals") -> None:
        """Add the totals of other conversations."""
        self.count += other.count
        self.duration_ms += other.duration_ms
        self.talk_ms += other.talk_ms
        self.hold_ms += other.hold_ms
        self.durations.merge(other.durations)
        self.unlisted_wrapup_codes += other.unlisted_wrapup_codes
        for code in sorted(other.wrapup_codes):
            self._list(code)

    def figures(self) -> Figures:
        """Return the metrics."""
        hold = _ratio(self.hold_ms, self.duration_ms)
        p50, p90, p99 = self.durations.quantiles(0.5, 0.9, 0.99)
        return Figures(
            conversation_count=self.count,
            avg_duration_seconds=_ratio(self.duration_ms, self.count * 1000),
            talk_ratio=_ratio(self.talk_ms, self.duration_ms),
            hold_ratio=hold,
            efficiency_score=max(Decimal(0), 100 - 50 * hold),
            unique_wrapup_codes=tuple(sorted(self.wrapup_codes)),
            p50_duration_seconds=Decimal(p50) / 1000,
            p90_duration_seconds=Decimal(p90) / 1000,
            p99_duration_seconds=Decimal(p99) / 1000,
            unlisted_wrapup_codes=self.unlisted_wrapup_codes,
            is_exact=self.durations.is_exact,
        )

    def _list(self, code: str) -> None:
        if code in self.wrapup_codes or len(self.wrapup_codes) < MAX_WRAPUP_CODES:
            self.wrapup_codes.add(code)
        else:
            self.unlisted_wrapup_codes += 1


def rounded(number: Decimal, places: int) -> Decimal:
    """Round half up, as people do on paper; Python's own `round` goes to the even digit."""
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _ratio(part: int, whole: int) -> Decimal:
    return Decimal(part) / Decimal(whole) if whole else Decimal(0)


GROUP_LIMIT = 1_000
"""Groups kept apart. More are no report; grouping by user in a large organisation could do it."""

OTHER = "(other)"
"""Every dimension's value in the group that takes what finds no group of its own."""

QUARTER_MS = 900_000
"""Not the hour: in some zones, such as Asia/Kathmandu, an hour begins at a quarter of UTC's."""

Key = tuple[str | None, ...]
"""A value per dimension; None where a conversation has none."""


@dataclass(slots=True)
class Tally:
    """What was met besides the conversations that count."""

    live: int = 0
    """Left out: not over when they were read."""

    unreadable: int = 0
    """Left out: without id or times."""

    repeated: int = 0
    """Dropped: read a second time."""

    folded: int = 0
    """Counted, but in the group `OTHER`."""

    unsettled: int = 0
    """Slices that changed under each of several readings."""

    def merge(self, other: "Tally") -> None:
        """Add what was met elsewhere."""
        for name in Tally.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Aggregate:
    """Streaming group-by. Two of them add up, so each slice may be read on its own."""

    def __init__(self, group_by: tuple[str, ...], group_limit: int = GROUP_LIMIT) -> None:
        """`group_by`: names in `DIMENSIONS`."""
        self.group_by = group_by
        self.tally = Tally()
        self.total = Totals()
        self._key = _key_by(group_by)
        self._limit = group_limit
        self._groups: dict[Key, Totals] = {}
        self._starts: Counter[int] = Counter()

    @property
    def groups(self) -> Mapping[Key, Totals]:
        """The groups, the busiest first, then by name."""
        order = sorted(self._groups, key=lambda key: (-self._groups[key].count, _as_text(key)))
        return MappingProxyType({key: self._groups[key] for key in order})

    @property
    def starts(self) -> Mapping[int, int]:
        """Conversations by the quarter of an hour they started in, as ms since 1970; no zeros."""
        return MappingProxyType(dict(sorted(self._starts.items())))

    def add(self, row: Row) -> None:
        """Count one conversation; one that is still live is only tallied."""
        if row.duration_ms is None:
            self.tally.live += 1
            return
        key = self._key(row)
        (self._groups.get(key) or self._group(key, 1)).add(row, row.duration_ms)
        self.total.add(row, row.duration_ms)
        self._starts[row.start_ms - row.start_ms % QUARTER_MS] += 1

    def merge(self, other: "Aggregate") -> None:
        """Take in what another one counted; both group by the same."""
        for _ in self.merging(other):
            pass

    def merging(self, other: "Aggregate") -> Iterator[None]:
        """Do the same in steps, one for each group: a thousand of them take a second at worst.

        What is counted is right after the last step only.
        """
        for key, totals in other.groups.items():
            self._group(key, totals.count).merge(totals)
            yield
        self.total.merge(other.total)
        self.tally.merge(other.tally)
        self._starts.update(other.starts)

    def _group(self, key: Key, rows: int) -> Totals:
        found = self._groups.get(key)
        if found is not None:
            return found
        other = (OTHER,) * len(key)
        if key != other and len(self._groups) >= self._limit:
            key = other
            self.tally.folded += rows
        return self._groups.setdefault(key, Totals())


def _key_by(group_by: tuple[str, ...]) -> Callable[[Row], Key]:
    names = [DIMENSIONS[name] for name in group_by]
    if len(names) > 1:
        return attrgetter(*names)  # its tuple is made in C
    return lambda row: tuple([getattr(row, name) for name in names])


def _as_text(key: Key) -> tuple[str, ...]:
    return tuple(value or "" for value in key)
