"""An interval in pieces that analytics can answer: days, and hours where a day is too much."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from worker.api import Permanent
from worker.clients.genesys.details_query import Slice

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

MAX_DAYS = 400
"""Longest report: a year and some. Each day costs requests and each hour a point of the chart."""


def day_slices(start: datetime, end: datetime) -> list[Slice]:
    """Cut at each UTC midnight: analytics matches by UTC days.

    Raises Permanent for an interval that is empty or longer than `MAX_DAYS`.
    """
    if not start < end:
        raise Permanent("interval: start not before end")
    if end - start > MAX_DAYS * DAY:
        raise Permanent(f"interval: longer than {MAX_DAYS} days")
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return list(_cut(Slice(start.astimezone(UTC), end.astimezone(UTC)), midnight, DAY))


def hour_slices(part: Slice) -> list[Slice]:
    """Cut at each full hour; an hour or less comes back whole."""
    if part.end - part.start <= HOUR:
        return [part]
    return list(_cut(part, part.start.replace(minute=0, second=0, microsecond=0), HOUR))


def _cut(whole: Slice, mark: datetime, step: timedelta) -> Iterator[Slice]:
    """Cut at `mark`, which is at or before the start, and each `step` after it."""
    start = whole.start
    while start < whole.end:
        mark += step
        yield Slice(start, min(mark, whole.end))
        start = mark
