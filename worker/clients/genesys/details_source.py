"""The pages of one slice, a few at a time: what to wait out, and when a slice is too much."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, TypeVar

import structlog

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.details_jobs import DetailsJobs
from worker.clients.genesys.details_pages import DetailsDialect, Page
from worker.clients.genesys.patience import patiently, wait_of
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply
from worker.domain.reports.slicing import Slice
from worker.errors import Rejected, TooHeavy, Unavailable
from worker.events.types import ReportDue

MOST_RESULTS = 100_000
"""The platform pages through no more of them (README.md, "Analytics")."""

MOST_FAILURES = 3
"""Answers 500 or 504, or none at all, after which a slice is taken for too heavy."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class SliceTooLarge(Exception):
    """The slice has to be smaller; `reason` is what to raise where it cannot be."""

    def __init__(self, reason: Unavailable | Rejected) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(slots=True)
class Failures:
    """How often a slice has failed, over all its pages and readings."""

    can_split: bool
    """False for an hour: its failures are the upstream's, and its breaker hears of them."""

    count: int = 0

    def counting(self, call: Call[T]) -> Call[T]:
        """Return the call with each answer 500 or 504 counted, the guard's own retries too."""

        def read(reply: Reply) -> T:
            if reply.status in wire.TOO_HEAVY:
                self.count += 1
                if self.can_split:
                    raise TooHeavy(str(wire.failure_of(reply)))
            return call.read(reply)

        return replace(call, read=read)


class DetailsSource:
    """Reads the pages of slices, `lanes` at a time where pages have numbers."""

    def __init__(self, api: Api, dialect: DetailsDialect, lanes: int) -> None:
        self._api = api
        self._dialect = dialect
        self._lanes = lanes

    async def rounds(
        self, due: ReportDue, part: Slice, failures: Failures
    ) -> AsyncGenerator[list[Page], None]:
        """Yield pages in order, a round of them at a time; raises SliceTooLarge."""
        page = await self._page(due, part, (1, None), failures)
        if (page.total or 0) > MOST_RESULTS:
            text = f"genesys: more than {MOST_RESULTS} conversations in {part}"
            raise SliceTooLarge(Rejected(text, status=400))
        yield [page]
        number = 2
        while places := self._places(page, number):
            pages = await all_of([self._page(due, part, place, failures) for place in places])
            if page.token is not None and pages[-1].token == page.token:
                raise Unavailable("genesys: the same page again, for ever")
            yield pages
            page, number = pages[-1], number + len(pages)

    def _places(self, latest: Page, number: int) -> list[tuple[int, str | None]]:
        """Return number and token of the pages to ask for next; none after the last page."""
        if latest.token is not None:
            return [(number, latest.token)]
        if latest.total is None:
            return []
        # The newest total: what began while we read is on pages that were not there at first.
        last = ceil(min(latest.total, MOST_RESULTS) / self._dialect.page_size)
        return [(n, None) for n in range(number, min(number + self._lanes, last + 1))]

    async def _page(
        self, due: ReportDue, part: Slice, place: tuple[int, str | None], failures: Failures
    ) -> Page:
        call = failures.counting(self._dialect.page(due, part, *place))
        while True:
            before = failures.count
            try:
                return await patiently(self._api, call)
            except Unavailable as error:
                failures.count = max(failures.count, before + 1)
                if failures.count >= MOST_FAILURES:
                    raise SliceTooLarge(error) from error
                await asyncio.sleep(wait_of(error))
            except Rejected as error:
                if error.status == 400 and place[0] > 1:
                    # The first page was fine: it is the paging that is refused.
                    raise SliceTooLarge(error) from error
                raise


async def rounds_of_job(
    jobs: DetailsJobs, due: ReportDue, part: Slice
) -> AsyncGenerator[list[Page], None]:
    """Yield the pages of a job as rounds of one."""
    async with aclosing(jobs.pages(due, part)) as pages:
        async for page in pages:
            yield [page]


async def all_of(work: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; the first failure ends the others and is raised as it is."""
    if len(work) == 1:
        return [await work[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
