"""Conversation details by asynchronous jobs: for days the data lake holds. README.md, "Analytics".

A job has no limit on paging that a day could meet and gives a thousand conversations a page, so it
costs a tenth of the requests. The lake is up to a day behind, so it is of no use for today.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api, with_background_retry
from worker.clients.genesys.details_query import Page, platform_page
from worker.clients.genesys.filters import Filters, Slice, query_body
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Unavailable, Unreadable

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
        return await with_background_retry(
            self._api, Call(request, _available_until, wire.ANALYTICS)
        )

    async def pages(self, filters: Filters, part: Slice) -> AsyncGenerator[Page, None]:
        """Yield the pages of the slice; more than was asked for, as a job matches by activity.

        Raises Unavailable when the job fails, takes longer than `LONGEST_JOB_SECONDS` or gives one
        page over and over.
        """
        job = await with_background_retry(self._api, _submit(filters, part))
        try:
            async with asyncio.timeout(LONGEST_JOB_SECONDS):
                await self._finished(job)
        except TimeoutError as error:
            raise Unavailable("genesys: details job takes too long") from error
        cursor: str | None = None
        while True:
            page = await with_background_retry(self._api, _results(job, cursor))
            before, cursor = cursor, page.token
            yield page
            # Not kept while the next one is waited for: its conversations may be megabytes.
            del page
            if cursor is None:
                return
            if cursor == before:
                raise Unavailable("genesys: the same page again, for ever")

    async def _finished(self, job: str) -> None:
        path, pause = f"{BASE}/{job}", FIRST_PAUSE_SECONDS
        request = Request(method="GET", path=path, template=f"{BASE}/{{jobId}}")
        while (
            state := await with_background_retry(self._api, Call(request, _state, wire.ANALYTICS))
        ) in UNDER_WAY:
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        if state != "FULFILLED":
            raise Unavailable(f"genesys: details job ended as {state}")


def _submit(filters: Filters, part: Slice) -> Call[str]:
    request = Request(method="POST", path=BASE, template=BASE, json=query_body(filters, part))
    return Call(request, _job_id, wire.ANALYTICS)


def _results(job: str, cursor: str | None) -> Call[Page]:
    query = f"pageSize={PAGE_SIZE}" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
    template = f"{BASE}/{{jobId}}/results"
    request = Request(method="GET", path=f"{BASE}/{job}/results?{query}", template=template)
    return Call(request, _result_page, wire.ANALYTICS)


def _result_page(reply: Reply) -> Page:
    return replace(platform_page(reply), total=None)


def _job_id(reply: Reply) -> str:
    job = wire.text_of(wire.object_of(reply).get("jobId"))
    if job is None or not wire.is_uuid(job):
        raise Unreadable("genesys: details job without a jobId that fits a path")
    return job


def _state(reply: Reply) -> str:
    state = wire.text_of(wire.object_of(reply).get("state"))
    known = {*UNDER_WAY, "FAILED", "CANCELLED", "FULFILLED", "EXPIRED"}
    if state is None or state not in known:
        raise Unreadable("genesys: details job in an unknown state")
    return state


def _available_until(reply: Reply) -> datetime:
    text = wire.text_of(wire.object_of(reply).get("dataAvailabilityDate"))
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Unreadable("genesys: data availability without a date")
    return moment
