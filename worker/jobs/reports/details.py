"""All conversations of an interval, counted as they come: slices side by side, each read whole."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import structlog

from worker.clients.genesys.api import Api
from worker.errors import Permanent
from worker.jobs.reports.aggregate import Aggregate
from worker.jobs.reports.details_jobs import MIN_AGE, DetailsJobs
from worker.jobs.reports.details_pages import DetailsDialect, Page
from worker.jobs.reports.details_source import (
    DetailsSource,
    Failures,
    SliceTooLarge,
    all_of,
    rounds_of_job,
)
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.merge import Merge
from worker.jobs.reports.row import dimensions_of
from worker.jobs.reports.slicing import Slice, day_slices, hour_slices

READINGS = 3
"""Times a slice is read that changes while it is read."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a reading is; whoever shows it looks at it now and then."""

    slices: int = 0
    slices_done: int = 0
    pages: int = 0
    conversations: int = 0
    """Rows read, those of a second reading included."""


class DetailsReader:
    """Reads the conversations of a report and adds them up."""

    def __init__(
        self,
        api: Api,
        dialect: DetailsDialect,
        concurrency: int,
        now: Callable[[], datetime],
        jobs: DetailsJobs | None = None,
    ) -> None:
        """`concurrency`: requests under way at once. `now`: wall clock, aware.

        `jobs`: reads days that are old enough; None asks for every page.
        """
        self._api = api
        self._dialect = dialect
        self._concurrency = concurrency
        self._now = now
        self._jobs = jobs

    async def read(self, due: ReportDue, progress: Progress | None = None) -> Aggregate:
        """Return the totals of all conversations that started in the interval.

        Raises Permanent for an interval or a dimension that cannot be had, and what the calls
        raise; Unavailable when even an hour is answered with 500 or 504.
        """
        parts = day_slices(due.start, due.end)
        whole = Aggregate(self._told(dimensions_of(due.group_by)))
        progress = progress if progress is not None else Progress()
        progress.slices = len(parts)
        side_by_side = min(self._concurrency, len(parts))
        # A single day is read by all lanes, a month by one lane for each day under way.
        source = DetailsSource(self._api, self._dialect, self._concurrency // side_by_side)
        reading = _Reading(due, source, await self._jobs_until(), progress)
        turns = _turns(parts)
        await all_of([reading.work(turns, whole) for _ in range(side_by_side)])
        return whole

    def _told(self, group_by: tuple[str, ...]) -> tuple[str, ...]:
        """Return the dimensions if rows have them: a column without values looks like an answer."""
        for name in group_by:
            if name not in self._dialect.dimensions:
                raise Permanent(f"groupBy: the dialect does not tell {name}")
        return group_by

    async def _jobs_until(self) -> tuple[DetailsJobs, datetime] | None:
        if self._jobs is None:
            return None
        return self._jobs, min(await self._jobs.available_until(), self._now() - MIN_AGE)


Turn = tuple[Slice, asyncio.Event, asyncio.Event]


def _turns(parts: list[Slice]) -> Iterator[Turn]:
    """Yield each slice with the event before its turn and the one after it."""
    before = asyncio.Event()
    before.set()
    for part in parts:
        after = asyncio.Event()
        yield part, before, after
        before = after


@dataclass(frozen=True, slots=True)
class _Reading:
    due: ReportDue
    source: DetailsSource
    jobs: tuple[DetailsJobs, datetime] | None
    progress: Progress

    async def work(self, turns: Iterator[Turn], whole: Aggregate) -> None:
        """Take slices until there are none. They are added in order, whoever is done first.

        So the figures of two runs are the same to the last code that found no place, and no more
        slices are held than are read.
        """
        for part, before, after in turns:
            piece = await self._slice(part)
            await before.wait()
            whole.merge(piece)
            self.progress.slices_done += 1
            after.set()

    async def _slice(self, part: Slice) -> Aggregate:
        try:
            return await self._settled(part)
        except SliceTooLarge as error:
            hours = hour_slices(part)
            if len(hours) == 1:
                raise error.reason from error
            log.warning("report_slice_split", slice=str(part), reason=str(error.reason))
        piece = Aggregate(dimensions_of(self.due.group_by))
        # One after the other: whoever cannot answer a day shall not be asked for all its hours.
        for hour in hours:
            piece.merge(await self._slice(hour))
        return piece

    async def _settled(self, part: Slice) -> Aggregate:
        """Read until nothing changed meanwhile; the last of `READINGS` stands in any case.

        A conversation that is ingested late moves all after it by a place: the next page repeats
        one, and another page lacks one. Only the count of them tells.
        """
        failures = Failures(can_split=len(hour_slices(part)) > 1)
        for _ in range(READINGS):
            piece, is_whole = await self._once(part, failures)
            if is_whole:
                return piece
            log.info("report_slice_changed", slice=str(part))
        log.warning("report_slice_unsettled", slice=str(part))
        piece.tally.unsettled += 1
        return piece

    async def _once(self, part: Slice, failures: Failures) -> tuple[Aggregate, bool]:
        piece, merge = Aggregate(dimensions_of(self.due.group_by)), Merge()
        totals: list[int] = []
        first_ms, end_ms = (moment.timestamp() * 1000 for moment in (part.start, part.end))
        async with aclosing(self._rounds(part, failures)) as rounds:
            async for pages in rounds:
                for row in merge.add([page.rows for page in pages]):
                    # Whole days come back, whatever part of one was asked for.
                    if first_ms <= row.start_ms < end_ms:
                        piece.add(row)
                piece.tally.unreadable += sum(page.unreadable for page in pages)
                totals += [page.total for page in pages if page.total is not None]
                self._tell(pages)
        piece.tally.repeated = merge.repeats
        return piece, _agrees(merge.rows + piece.tally.unreadable, totals)

    def _rounds(self, part: Slice, failures: Failures) -> AsyncGenerator[list[Page], None]:
        if self.jobs is not None and part.end <= self.jobs[1]:
            return rounds_of_job(self.jobs[0], self.due, part)
        return self.source.rounds(self.due, part, failures)

    def _tell(self, pages: list[Page]) -> None:
        self.progress.pages += len(pages)
        self.progress.conversations += sum(len(page.rows) for page in pages)


def _agrees(entries: int, totals: list[int]) -> bool:
    """Tell whether all entries there are were read: growing is well, as new ones come last."""
    return not totals or (totals == sorted(totals) and entries == totals[-1])
