"""A finished report: what the files are written from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID, uuid5

from worker.api import Filters
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.figures import Aggregate, Figures, Key, Tally
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
class Report:
    """Figures, and what they are of."""

    due: ReportDue
    as_of: datetime
    """When the platform was asked: figures of an ended conversation may change for two days."""

    group_by: tuple[str, ...]
    groups: tuple[Group, ...]
    """The busiest first."""

    total: Figures
    shares: tuple[int, int, int]
    """Talk, hold and all other time of all conversations, in ms."""

    hours: Mapping[int, int]
    """Conversations by the hour they started in, as ms since 1970."""

    tally: Tally

    @property
    def id(self) -> str:
        """The same for every re-send of the event."""
        return report_id(self.due)


def report_of(due: ReportDue, aggregate: Aggregate, as_of: datetime) -> Report:
    """Work out the figures of what was counted."""
    total = aggregate.total
    other_ms = max(0, total.duration_ms - total.talk_ms - total.hold_ms)
    return Report(
        due=due,
        as_of=as_of,
        group_by=dimensions_of(due.group_by),
        groups=tuple(
            Group(key=key, figures=totals.figures()) for key, totals in aggregate.groups.items()
        ),
        total=total.figures(),
        shares=(total.talk_ms, total.hold_ms, other_ms),
        hours=dict(aggregate.hours),
        tally=aggregate.tally,
    )


def report_id(due: ReportDue) -> str:
    """Return the UUIDv5 of the event's dedupe key."""
    return str(uuid5(_REPORTS, due.origin.dedupe_key))


def iso(moment: datetime) -> str:
    """Write a time in UTC with `Z`, to the second where it is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def columns(report: Report) -> tuple[str, ...]:
    """Return a name per dimension and per metric, each with that of its names, where it has ids."""
    listed = (*report.group_by, *METRICS)
    return tuple(
        name for one in listed for name in (one, NAME_COLUMNS.get(one)) if name is not None
    )


def cells(report: Report, group: Group, names: NameOf) -> Iterator[object]:
    """Yield a value per column; None where there is none."""
    values = (*group.key, *(getattr(group.figures, name) for name in METRICS))
    for column, value in zip((*report.group_by, *METRICS), values, strict=True):
        yield value
        if column == CODES:
            # Of a code without a name the code: the two lists stay as long as each other.
            yield tuple(names.get(code, code) for code in value)
        elif column in NAME_COLUMNS:
            yield names.get(value)


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
