"""Reads the conversations of an interval: slices side by side, pages merged by time.

Pages of one slice are fetched a few at a time and merged as they come, without repeats. Slices are
not merged row by row: they are disjoint in time, so a merge would read the second one only when the
first is done, or hold it in memory meanwhile. Each adds up by itself, and the totals are joined.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

import structlog

from worker.api import (
    MIN_AGE,
    Api,
    DetailsJobs,
    DetailsQuery,
    Failures,
    Filters,
    Page,
    PagesDialect,
    Permanent,
    Slice,
    SliceTooLarge,
    all_of,
)
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.figures import Aggregate
from worker.jobs.reports.rows import (
    DIMENSIONS,
    Conversation,
    Result,
    Row,
    dimensions_of,
    row_of_platform,
    row_of_reference,
)

WINDOW = 2_000
"""Ids remembered: twenty pages. Pages that shift while they are read repeat a row on the next."""

_START = attrgetter("start_ms")


class Merge:
    """The merge of the pages of one slice, and the memory of its latest ids.

    The memory is a window, not a set of all ids, so it does not grow with the conversations. A
    repeat further apart than that is let through; then there are more rows than the reply's
    `totalHits`, which is how the reader notices and reads the slice again.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._recent: set[str] = set()
        self._order: deque[str] = deque()
        self.repeats = 0
        """Rows dropped, their id having been seen."""

        self.rows = 0
        """Rows passed on."""

    def add(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of some pages by start time; ties keep the order of the pages.

        What is earlier than rows of a call before comes out late, never twice.
        """
        # Pages come sorted, or nearly so: to sort them is to merge them, and faster than heapq's.
        for row in sorted(rows, key=_START):
            if row.id is not None and not self._is_new(row.id):
                self.repeats += 1
                continue
            self.rows += 1
            yield row

    def _is_new(self, identity: str) -> bool:
        if identity in self._recent:
            return False
        self._recent.add(identity)
        self._order.append(identity)
        if len(self._order) > self._window:
            self._recent.remove(self._order.popleft())
        return True


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


ReadRow = Callable[[Any], Row | None]


@dataclass(frozen=True, slots=True)
class Rows:
    """How the conversations of a dialect are read."""

    dimensions: Collection[str]
    """What its rows can be grouped by."""

    kind: type[Any]
    """What a conversation is decoded to."""

    reader: Callable[[Filters], ReadRow]
    """Makes the reader of a `kind`: one through two queues counts for the one asked for."""


def _of_platform(filters: Filters) -> ReadRow:
    return partial(row_of_platform, asked={n: set(values) for n, values in filters.by_dimension()})


def _of_reference(_: Filters) -> ReadRow:
    return row_of_reference


ROWS: Mapping[str, Rows] = {
    "platform": Rows(DIMENSIONS, Conversation, _of_platform),
    "reference": Rows(("mediaType", "queueId"), Result, _of_reference),
}
"""By dialect."""

LOOP_SECONDS = 0.002
"""Work done between two turns of the event loop: live events go on beside a report."""

STEP_ROWS = 16
"""Conversations read, or counted, between two checks of the clock: 0.2 ms."""


class LoopShare:
    """The work of all reports, so cut that none keeps the event loop from the others.

    Not in a thread: it would fight the loop for the interpreter, and each turn of the loop would
    wait for the thread's, 5 ms long.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def run(self, steps: Iterable[object]) -> None:
        """Take all steps, with a turn of the loop after each `LOOP_SECONDS`."""
        clock = asyncio.get_running_loop().time
        # One at a time, with a turn first: the shares of several would add up.
        async with self._lock:
            await asyncio.sleep(0)
            until = clock() + LOOP_SECONDS
            for _ in steps:
                if clock() >= until:
                    await asyncio.sleep(0)
                    until = clock() + LOOP_SECONDS


READINGS = 3
"""Times a slice is read that changes while it is read."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Progress:
    """How far a reading is; polled by what shows it."""

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
        dialect: PagesDialect,
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
        self._share = LoopShare()

    async def read(self, due: ReportDue, progress: Progress | None = None) -> Aggregate:
        """Return the totals of all conversations that started in the interval.

        Raises Permanent for an interval or a dimension that cannot be had, and what the calls
        raise; Unavailable when even an hour is answered with 500 or 504.
        """
        parts = day_slices(due.start, due.end)
        whole = Aggregate(self._known(dimensions_of(due.group_by)))
        progress = progress if progress is not None else Progress()
        progress.slices += len(parts)
        side_by_side = min(self._concurrency, len(parts))
        # A single day is read by all workers, a month by one worker for each day under way.
        filters = filters_of(due)
        query = DetailsQuery(self._api, self._dialect, self._concurrency // side_by_side)
        reading = _Reading(
            due=due,
            filters=filters,
            kind=ROWS[self._dialect.name].kind,
            read_row=ROWS[self._dialect.name].reader(filters),
            share=self._share,
            query=query,
            jobs=await self._jobs_until(),
            progress=progress,
        )
        turns = _turns(parts)
        await all_of([reading.work(turns, whole) for _ in range(side_by_side)])
        return whole

    def _known(self, group_by: tuple[str, ...]) -> tuple[str, ...]:
        """Return the dimensions if rows have them: a column without values looks like an answer."""
        for name in group_by:
            if name not in ROWS[self._dialect.name].dimensions:
                raise Permanent(f"groupBy: the dialect has no {name}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    due: ReportDue
    filters: Filters
    kind: type[Any]
    read_row: ReadRow
    share: LoopShare
    query: DetailsQuery
    jobs: tuple[DetailsJobs, datetime] | None
    progress: Progress

    async def work(self, turns: Iterator[Turn], whole: Aggregate) -> None:
        """Take slices until there are none. They are added in order, whichever is done first.

        So the figures of two runs are the same to the last code that found no place, and no more
        slices are held than are read.
        """
        for part, before, after in turns:
            piece = await self._slice(part)
            await before.wait()
            await self.share.run(whole.merging(piece))
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
        # One after the other: an upstream that cannot answer a day is not asked for all its hours.
        for hour in hours:
            await self.share.run(piece.merging(await self._slice(hour)))
        return piece

    async def _settled(self, part: Slice) -> Aggregate:
        """Read until nothing changed meanwhile; the last of `READINGS` stands in any case.

        A conversation that is ingested late moves all after it by a place: the next page repeats
        one, and another page lacks one. Only their count shows it.
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
        async with aclosing(self._page_batches(part, failures)) as batches:
            async for pages in batches:
                await self.share.run(self._adding(pages, part, piece, merge))
                totals += [page.total for page in pages if page.total is not None]
                # Not kept while the next batch is waited for: it may be megabytes.
                del pages
        piece.tally.repeated = merge.repeats
        return piece, _agrees(merge.rows + piece.tally.unreadable, totals)

    def _adding(
        self, pages: list[Page], part: Slice, piece: Aggregate, merge: Merge
    ) -> Iterator[None]:
        """Add the pages up, in steps of some conversations: the clock is not for nothing."""
        first_ms, end_ms = (moment.timestamp() * 1000 for moment in (part.start, part.end))
        read: list[Row] = []
        found = chain.from_iterable(rows_of(page, self.kind, self.read_row) for page in pages)
        for place, row in enumerate(found):
            if row is not None:
                read.append(row)
            if place % STEP_ROWS == 0:
                yield
        for place, row in enumerate(merge.add(read)):
            # Whole days come back, whatever part of one was asked for.
            if first_ms <= row.start_ms < end_ms:
                piece.add(row)
            if place % STEP_ROWS == 0:
                yield
        piece.tally.unreadable += sum(len(page.entries) for page in pages) - len(read)
        self.progress.pages += len(pages)
        self.progress.conversations += len(read)

    def _page_batches(self, part: Slice, failures: Failures) -> AsyncGenerator[list[Page], None]:
        if self.jobs is not None and part.end <= self.jobs[1]:
            return _batches_of_job(self.jobs[0], self.filters, part)
        return self.query.page_batches(self.filters, part, failures)


def filters_of(due: ReportDue) -> Filters:
    """Return what the report asks for."""
    return Filters(media_type=due.media_type, queue_ids=due.queue_ids, others=due.filters)


def rows_of(page: Page, kind: type[Any], read_row: ReadRow) -> Iterator[Row | None]:
    """Yield the rows of a page; None for a conversation without id or times."""
    return map(read_row, page.read_by(kind))


async def _batches_of_job(
    jobs: DetailsJobs, filters: Filters, part: Slice
) -> AsyncGenerator[list[Page], None]:
    """Yield the pages of a job as batches of one."""
    async with aclosing(jobs.pages(filters, part)) as pages:
        async for page in pages:
            yield [page]
            del page


def _agrees(entries: int, totals: list[int]) -> bool:
    """Return whether all entries there are were read: growing is fine, as new ones come last."""
    return not totals or (totals == sorted(totals) and entries == totals[-1])
