"""Round numbers for an axis, and days or hours for the points on it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.clients.genesys.details_query import Slice

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

MOST_HOURS = 10 * 24
"""Points that can be told apart on a screen; a longer report shows days."""


@dataclass(frozen=True, slots=True)
class Point:
    """Conversations that started in an hour or a day."""

    start: datetime
    count: int


def points(hours: Mapping[int, int], span: Slice) -> tuple[list[Point], bool]:
    """Return a point per hour of the span, and False; or one per day, and True. Gaps are zeros."""
    first, last = _ms(span.start), _ms(span.end)
    daily = (last - first) > MOST_HOURS * HOUR_MS
    step = DAY_MS if daily else HOUR_MS
    counts: dict[int, int] = {}
    for hour, number in hours.items():
        counts[hour - hour % step] = counts.get(hour - hour % step, 0) + number
    starts = range(first - first % step, last, step)
    return [Point(_moment(start), counts.get(start, 0)) for start in starts], daily


def ticks(largest: float, at_most: int = 5) -> list[float]:
    """Return round numbers from 0 to at least `largest`."""
    rough = max(largest, 1) / at_most
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough)
    step = max(math.ceil(step), 1)  # 2.5 would be labelled 2, 5, 8: these are counts
    return [step * index for index in range(math.ceil(max(largest, 1) / step) + 1)]


def time_ticks(largest_seconds: float, at_most: int = 5) -> list[float]:
    """Return lengths of time that people count in, from 0 to at least the largest."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
    days = max(1, math.ceil(largest_seconds / 86400 / at_most)) * 86400
    step = next((s for s in steps if s * at_most >= largest_seconds), days)
    return [float(step * index) for index in range(math.ceil(largest_seconds / step) + 1)]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
