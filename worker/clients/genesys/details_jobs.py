"""Conversation details by asynchronous jobs: for days the data lake holds. README.md, "Analytics".

A job has no limit on paging that a day could meet and gives a thousand conversations a page, so it
costs a tenth of the requests. The lake is up to a day behind, so it is of no use for today.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.details_by_id import UPSTREAM
from worker.clients.genesys.details_pages import Page, platform_page, query_body
from worker.clients.genesys.patience import patiently
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.domain.reports.row import milliseconds_of, text_of
from worker.domain.reports.slicing import Slice
from worker.errors import Unavailable, Unreadable
from worker.events.fields import UUID
from worker.events.types import ReportDue

BASE = "/api/v2/analytics/conversations/details/jobs"
PAGE_SIZE = 1000

MIN_AGE = timedelta(hours=48)
"""The platform works over its data for about that long."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
LONGEST_JOB_SECONDS = 900.0
UNDER_WAY = {"QUEUED", "PENDING"}


class DetailsJobs:
    """Submits a job for a slice, waits for it, and pages through what it found."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def available_until(self) -> datetime:
        """Return up to when the data lake is complete."""
        path = f"{BASE}/availability"
        request = Request(method="GET", path=path, template=path)
        return await patiently(self._api, Call(request, _available_until, UPSTREAM))

    async def pages(self, due: ReportDue, part: Slice) -> AsyncGenerator[Page, None]:
        """Yield the pages of the slice; more than was asked for, as a job matches by activity.

        Raises Unavailable when the job fails, takes longer than `LONGEST_JOB_SECONDS` or gives one
        page over and over.
        """
        job = await patiently(self._api, _submit(due, part))
        try:
            async with asyncio.timeout(LONGEST_JOB_SECONDS):
                await self._finished(job)
        except TimeoutError as error:
            raise Unavailable("genesys: details job takes too long") from error
        cursor: str | None = None
        while True:
            page = await patiently(self._api, _results(due, job, cursor))
            yield page
            if page.token is None:
                return
            if page.token == cursor:
                raise Unavailable("genesys: the same page again, for ever")
            cursor = page.token

    async def _finished(self, job: str) -> None:
        path, pause = f"{BASE}/{job}", FIRST_PAUSE_SECONDS
        request = Request(method="GET", path=path, template=f"{BASE}/{{jobId}}")
        while (state := await patiently(self._api, Call(request, _state, UPSTREAM))) in UNDER_WAY:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        if state != "FULFILLED":
            raise Unavailable(f"genesys: details job ended as {state}")


def _submit(due: ReportDue, part: Slice) -> Call[str]:
    request = Request(method="POST", path=BASE, template=BASE, json=query_body(due, part))
    return Call(request, _job_id, UPSTREAM)


def _results(due: ReportDue, job: str, cursor: str | None) -> Call[Page]:
    query = f"pageSize={PAGE_SIZE}" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
    template = f"{BASE}/{{jobId}}/results"
    request = Request(method="GET", path=f"{BASE}/{job}/results?{query}", template=template)
    return Call(request, partial(_result_page, due), UPSTREAM)


def _result_page(due: ReportDue, reply: Reply) -> Page:
    answer = wire.object_of(reply)
    page = platform_page(answer, due)
    return Page(rows=page.rows, unreadable=page.unreadable, token=text_of(answer.get("cursor")))


def _job_id(reply: Reply) -> str:
    job = text_of(wire.object_of(reply).get("jobId"))
    if job is None or not UUID.fullmatch(job):
        raise Unreadable("genesys: details job without a jobId that fits a path")
    return job


def _state(reply: Reply) -> str:
    state = text_of(wire.object_of(reply).get("state"))
    known = {*UNDER_WAY, "FAILED", "CANCELLED", "FULFILLED", "EXPIRED"}
    if state is None or state not in known:
        raise Unreadable("genesys: details job in an unknown state")
    return state


def _available_until(reply: Reply) -> datetime:
    moment = milliseconds_of(wire.object_of(reply).get("dataAvailabilityDate"))
    if moment is None:
        raise Unreadable("genesys: data availability without a date")
    return datetime.fromtimestamp(moment / 1000, UTC)
