"""A finished report: what the files are written from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from worker.api import Filters
from worker.jobs.reports.events import Interval, ReportDue, midnight
from worker.jobs.reports.figures import Aggregate, Figures, Key, Tally, rounded
from worker.jobs.reports.rows import dimensions_of

_REPORTS = UUID("5b0f3c4e-6a0e-5b6e-9a55-0c6e2f0d7a11")
"""Namespace of report ids."""

METRICS = (
    "conversation_count",
    "avg_duration_seconds",
    "talk_ratio",
    "hold_ratio",
    "efficiency_score",
    "unique_wrapup_codes",
    "p50_duration_seconds",
    "p90_duration_seconds",
    "p99_duration_seconds",
)
"""The columns after the dimensions, in order."""

PLACES = {
    "avg_duration_seconds": 2,
    "talk_ratio": 4,
    "hold_ratio": 4,
    "efficiency_score": 2,
    "p50_duration_seconds": 2,
    "p90_duration_seconds": 2,
    "p99_duration_seconds": 2,
}
"""Digits after the point, in CSV and JSON."""

CODES = "unique_wrapup_codes"

NAME_COLUMNS = {
    "queueId": "queueName",
    "userId": "userName",
    "divisionId": "divisionName",
    CODES: "wrapup_names",
}
"""The column right after that of ids, with their names."""

NAMED = ("queueId", "userId", "divisionId", "wrapUpCode")
"""Dimensions whose values are ids of what has a name."""

NameOf = Mapping[str, str]
"""Names by id; what is not there has none, or none could be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One line of the report."""

    key: Key
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The figures of the period before, to compare with."""

    span: Interval
    total: Figures
    groups: Mapping[Key, Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures, and what they are of."""

    due: ReportDue
    as_of: datetime
    """When the platform was asked: figures of an ended conversation may change for two days."""

    group_by: tuple[str, ...]
    groups: tuple[Group, ...]
    """The busiest first."""

    total: Figures
    starts: Mapping[int, int]
    """Conversations by the quarter of an hour they started in, as ms since 1970."""

    tally: Tally
    previous: Previous | None = None
    """None: no figures of the period before are known."""

    @property
    def id(self) -> str:
        """The same for every re-send of the event."""
        return report_id(self.due)


def report_of(
    due: ReportDue, aggregate: Aggregate, as_of: datetime, previous: Previous | None = None
) -> Report:
    """Work out the figures of what was counted."""
    return Report(
        due=due,
        as_of=as_of,
        group_by=dimensions_of(due.group_by),
        groups=tuple(
            Group(key=key, figures=totals.figures()) for key, totals in aggregate.groups.items()
        ),
        total=aggregate.total.figures(),
        starts=dict(aggregate.starts),
        tally=aggregate.tally,
        previous=previous,
    )


def previous_of(span: Interval, aggregate: Aggregate) -> Previous:
    """Work out the figures of the period before."""
    groups = {key: totals.figures() for key, totals in aggregate.groups.items()}
    return Previous(span=span, total=aggregate.total.figures(), groups=groups)


def span_before(due: ReportDue) -> Interval:
    """Return the period before that of a report.

    Before whole months as many months, before whole days as many days, all of the report's time
    zone; else as much time.
    """
    zone = ZoneInfo(due.timezone)
    first, last = due.start.astimezone(zone), due.end.astimezone(zone)
    if due.start != midnight(first.date(), zone) or due.end != midnight(last.date(), zone):
        return due.start - (due.end - due.start), due.start
    if first.day == last.day == 1:
        return midnight(_month(2 * _months(first) - _months(last)), zone), due.start
    return midnight(first.date() - (last.date() - first.date()), zone), due.start


def _months(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1


def _month(months: int) -> date:
    return date(months // 12, months % 12 + 1, 1)


def report_id(due: ReportDue) -> str:
    """Return the UUIDv5 of the event's dedupe key."""
    return str(uuid5(_REPORTS, due.origin.dedupe_key))


def iso(moment: datetime) -> str:
    """Write a time in UTC with `Z`, to the second where it is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(value: datetime, zone: tzinfo) -> str:
    """Return a date and a time of day in the zone."""
    return f"{_date(local := value.astimezone(zone))}, {local:%H:%M}"


def period(start: datetime, end: datetime, zone: tzinfo) -> str:
    """Return the first day and the last one, or the times if those are not whole days."""
    first, after = start.astimezone(zone), end.astimezone(zone)
    if (first.time(), after.time()) != (time(), time()):
        return f"{moment(start, zone)} \u2013 {moment(end, zone)}"
    last = after - timedelta(days=1)
    return _date(first) if first.date() == last.date() else f"{_date(first)} \u2013 {_date(last)}"


def _date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def columns(report: Report) -> tuple[str, ...]:
    """Return a name per dimension and per metric, each with that of its names, where it has ids."""
    listed = (*report.group_by, *METRICS)
    return tuple(
        name for one in listed for name in (one, NAME_COLUMNS.get(one)) if name is not None
    )


def cells(report: Report, group: Group, names: NameOf) -> Iterator[object]:
    """Yield a value per column; None where there is none."""
    values = (*group.key, *(metric(group.figures, name) for name in METRICS))
    for column, value in zip((*report.group_by, *METRICS), values, strict=True):
        yield value
        if column == CODES:
            # Of a code without a name the code: the two lists stay as long as each other.
            yield tuple(names.get(code, code) for code in value)
        elif column in NAME_COLUMNS:
            yield names.get(value)


def metric(figures: Figures, name: str) -> Any:
    """Return one of `METRICS` as it is written: half of the last digit is rounded up."""
    value = getattr(figures, name)
    return rounded(value, PLACES[name]) if isinstance(value, Decimal) else value


def ids_of(report: Report) -> Mapping[str, list[str]]:
    """Return the ids in a report by dimension, those of the busiest groups first."""
    codes = chain.from_iterable(one.figures.unique_wrapup_codes for one in report.groups)
    found: dict[str, list[str]] = {"wrapUpCode": list(codes)}
    for place, dimension in enumerate(report.group_by):
        found[dimension] = [value for group in report.groups if (value := group.key[place])]
    filters = Filters(queue_ids=report.due.queue_ids, others=report.due.filters)
    for dimension, values in filters.by_dimension():
        found[dimension] = [*found.get(dimension, ()), *values]
    return {dimension: found[dimension] for dimension in NAMED if found.get(dimension)}


def interval_of(due: ReportDue) -> str:
    """Return the interval in ISO 8601; its end is not in it."""
    return f"{iso(due.start)}/{iso(due.end)}"


def filters_of(due: ReportDue) -> dict[str, Any]:
    """Return what the conversations were picked by."""
    return {
        "mediaType": due.media_type,
        "queueIds": list(due.queue_ids),
        "further": [
            {"dimension": one.name, "operator": one.operator, "value": list(one.values)}
            for one in due.filters
        ],
    }
