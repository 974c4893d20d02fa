"""A finished report: what the files are written from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

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


def cells(group: Group) -> tuple[object, ...]:
    """Return one value per dimension and per metric; None where there is none."""
    return (*group.key, *(getattr(group.figures, name) for name in METRICS))


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
