"""What a report by hand is asked for, and whether any report can be that."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from worker.errors import ConfigurationError, Permanent
from worker.events.fields import UUID
from worker.events.origin import Origin
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.report import iso
from worker.jobs.reports.row import MEDIA_TYPES, dimensions_of
from worker.jobs.reports.slicing import day_slices


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    name: str
    start: datetime
    end: datetime
    media_type: str | None
    queue_ids: tuple[str, ...]
    group_by: tuple[str, ...]

    def due(self) -> ReportDue:
        """Return it as the event it stands in for; each run is one of its own.

        Raises ConfigurationError that names every option no report can have.
        """
        if problems := list(self._problems()):
            raise ConfigurationError(problems)
        now = datetime.now(UTC)
        key = sha256("|".join((self.name, iso(self.start), iso(self.end), iso(now))).encode())
        origin = Origin(
            event_id=key.hexdigest(),
            detail_type="report.due",
            dedupe_key=key.hexdigest(),
            occurred_at=now,
        )
        return ReportDue(
            origin=origin,
            name=self.name,
            start=self.start,
            end=self.end,
            media_type=self.media_type and self.media_type.lower(),
            queue_ids=self.queue_ids,
            group_by=self.group_by,
        )

    def _problems(self) -> Iterator[str]:
        try:
            day_slices(self.start, self.end)
        except Permanent as error:
            yield f"--from, --to: {_fault(error)}"
        try:
            dimensions_of(self.group_by)
        except Permanent as error:
            yield f"--group-by: {_fault(error)}"
        # Stricter than for an event: Genesys may add a type before we know it, and a schedule that
        # names it must not be parked. Here somebody mistyped, and would take nothing for a finding.
        if self.media_type is not None and self.media_type.lower() not in MEDIA_TYPES:
            yield f"--media-type: none of {', '.join(MEDIA_TYPES)}"
        for position, queue_id in enumerate(self.queue_ids, start=1):
            if UUID.fullmatch(queue_id) is None:
                known = "GET /api/v2/routing/queues lists the ids of the queues"
                yield f"--queue-id: entry {position} is not a UUID; {known}"


def _fault(error: Permanent) -> str:
    """Return what is wrong, without the name that it has in an event."""
    return error.reason.partition(": ")[2]
