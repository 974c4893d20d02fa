"""Rows in, groups out: the state of a report while it is read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from worker.jobs.reports.row import DIMENSIONS, Row
from worker.jobs.reports.totals import Totals

GROUP_LIMIT = 1_000
"""Groups kept apart. More are no report; grouping by user in a large organisation could do it."""

OTHER = "(other)"
"""Every dimension's value in the group that takes what finds no group of its own."""

HOUR_MS = 3_600_000

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
        self._values = tuple(DIMENSIONS[name] for name in group_by)
        self._limit = group_limit
        self._groups: dict[Key, Totals] = {}
        self._hours: Counter[int] = Counter()

    @property
    def groups(self) -> Mapping[Key, Totals]:
        """The groups, the busiest first, then by name."""
        order = sorted(self._groups, key=lambda key: (-self._groups[key].count, _as_text(key)))
        return MappingProxyType({key: self._groups[key] for key in order})

    @property
    def hours(self) -> Mapping[int, int]:
        """Conversations by the hour they started in, as ms since 1970; empty hours are not in."""
        return MappingProxyType(dict(sorted(self._hours.items())))

    def add(self, row: Row) -> None:
        """Count one conversation; one that is still live is only tallied."""
        if row.duration_ms is None:
            self.tally.live += 1
            return
        key = tuple([value(row) for value in self._values])
        self._group(key, 1).add(row, row.duration_ms)
        self.total.add(row, row.duration_ms)
        self._hours[row.start_ms - row.start_ms % HOUR_MS] += 1

    def merge(self, other: "Aggregate") -> None:
        """Take in what another one counted; both group by the same."""
        for key, totals in other.groups.items():
            self._group(key, totals.count).merge(totals)
        self.total.merge(other.total)
        self.tally.merge(other.tally)
        self._hours.update(other.hours)

    def _group(self, key: Key, rows: int) -> Totals:
        found = self._groups.get(key)
        if found is not None:
            return found
        other = (OTHER,) * len(key)
        if key != other and len(self._groups) >= self._limit:
            key = other
            self.tally.folded += rows
        return self._groups.setdefault(key, Totals())


def _as_text(key: Key) -> tuple[str, ...]:
    return tuple(value or "" for value in key)
