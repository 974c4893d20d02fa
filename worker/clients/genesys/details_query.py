"""The details query: all conversations of an interval, and the texts' queries for one of them.

`POST /api/v2/analytics/conversations/details/query` (README.md, "Analytics"), whose pages have
numbers. The reference texts r1, r3 and r4 each have a body of their own on the same path, and pages
by token. Conversations are handed on as they came; the caller reads them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api, wait_of, with_background_retry
from worker.clients.genesys.filters import Filters, platform_filters, reference_filters
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Rejected, RequestTooLarge, Unavailable, Unreadable

PATH = "/api/v2/analytics/conversations/details/query"
LARGEST_PAGE = 100

REFERENCE_GROUPS = ("conversation.media.type", "routing.queue.id")
REFERENCE_METRICS = (
    "conversation.duration.seconds",
    "agent.talk.seconds",
    "agent.hold.seconds",
    "wrapup.code",
)
"""What r4's rows have; times are seconds."""

Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """A piece of an interval, in UTC; `end` is the first instant that is not in it."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%MZ}/{self.end:%Y-%m-%dT%H:%MZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some conversations."""

    conversations: list[Json] = field(repr=False)
    """As the dialect has them, in the order of the reply."""

    total: int | None = None
    """`totalHits`; None where the dialect does not say."""

    token: str | None = None
    """What asks for the next page, where pages have no numbers; None: this was the last."""


class PagesDialect(Protocol):
    """How one dialect asks for the conversations of a slice."""

    @property
    def name(self) -> str:
        """The dialect's: what its conversations look like."""

    @property
    def page_size(self) -> int:
        """Conversations of a full page."""

    def page(self, filters: Filters, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask for a page: by its number, from 1, or by the token of the one before."""


@dataclass(frozen=True, slots=True)
class PlatformPages:
    """The Platform API: pages by number, and `totalHits`."""

    page_size: int = LARGEST_PAGE
    name: str = "platform"

    def page(self, filters: Filters, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask by number; the platform has no tokens here."""
        del token
        paging = {"pageSize": self.page_size, "pageNumber": number}
        body = {**query_body(filters, part), "paging": paging}
        return Call(query_request(body), self._read, wire.ANALYTICS)

    def _read(self, reply: Reply) -> Page:
        page = platform_page(wire.object_of(reply))
        if page.total is None and len(page.conversations) >= self.page_size:
            # It would pass for the last one, and the report without the others for complete.
            raise Unreadable("genesys: full page of details without totalHits")
        return page


@dataclass(frozen=True, slots=True)
class ReferencePages:
    """r4's report query: pages by token, of a size that the server chooses."""

    page_size: int = LARGEST_PAGE
    name: str = "reference"

    def page(self, filters: Filters, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask by token; r4's pages have no numbers."""
        del number
        body: dict[str, Any] = {
            "query": {
                "type": "conversation",
                "timeRange": {"start": _utc(part.start), "end": _utc(part.end)},
            },
            "interval": "PT1H",
            "groupBy": list(REFERENCE_GROUPS),
            "metrics": list(REFERENCE_METRICS),
            "filter": reference_filters(filters),
        }
        if token is not None:
            body["pageToken"] = token
        call = Call(query_request(body), _reference_page, wire.ANALYTICS)
        return wire.taking("analytics:read", call)


def query_body(filters: Filters, part: Slice) -> dict[str, Any]:
    """Return the body of a platform query, less its `paging`."""
    body: dict[str, Any] = {
        "interval": f"{_milliseconds(part.start)}/{_milliseconds(part.end)}",
        # By start: what begins while we read comes at the end and shifts nothing.
        "order": "asc",
        "orderBy": "conversationStart",
    }
    return body | platform_filters(filters)


def platform_page(answer: Json) -> Page:
    """Read a reply that holds `conversations`; an empty one may leave them out."""
    total = answer.get("totalHits")
    return Page(
        conversations=wire.objects_in(answer.get("conversations")),
        total=total if isinstance(total, int) else None,
    )


def _reference_page(reply: Reply) -> Page:
    answer = wire.object_of(reply)
    return Page(
        conversations=wire.objects_in(answer.get("results")),
        token=wire.text_of(answer.get("nextPageToken")),
    )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _milliseconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


Details = Mapping[str, Any]
"""A conversation as analytics answers it, untouched; attributes are not in it."""


CUSTOMER_PURPOSES = {"customer", "external"}
"""`customer` on ACD conversations, `external` on others."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One conversation to be looked up; its id is a UUID."""

    conversation_id: str
    ended_at: datetime

    @property
    def key(self) -> str:
        """The id as replies are keyed by it: UUIDs are the same in either case."""
        return self.conversation_id.lower()


@dataclass(frozen=True, slots=True)
class OfPage(Generic[T]):
    """What one page has of what is looked for."""

    found: T | None = field(repr=False)
    token: str | None = None
    """What asks for the next page; None: this was the last."""


Found = OfPage[Mapping[str, Details]]


MOST_PAGES = 100


async def first_found(api: Api, ask: Callable[[str | None], Call[OfPage[T]]]) -> T | None:
    """Return what the first page has that has any; None when none has.

    `ask`: takes the token of the page before. Raises Unavailable for pages without an end.
    """
    token: str | None = None
    for _ in range(MOST_PAGES):
        page = await api.run(ask(token))
        if page.found or page.token is None:
            return page.found
        token = page.token
    raise Unavailable("genesys: pages without an end")


DAYS_BEFORE = timedelta(days=6)
DAYS_AFTER = timedelta(days=1)
"""A query finds conversations by the day they started on, and a span of a week is always allowed:
messages may stay open for days."""


@dataclass(frozen=True, slots=True)
class ReferenceDetails:
    """The details query of r1: one conversation a request.

    Its filters must all match, so two ids in one query would find nothing.
    """

    ids_per_request: int = 1

    def details(self, wanted: Sequence[Wanted], token: str | None = None) -> Call[Found]:
        """Ask for one: `wanted` has that length. It is the first entity of all pages."""
        (one,) = wanted
        body = {
            **days_around(one),
            "groupBy": ["conversationId"],
            "filter": [{"type": "conversationId", "value": one.conversation_id}],
            "size": LARGEST_PAGE,
        }

        def read(reply: Reply) -> Found:
            found, following = entities(reply, one)
            return OfPage({one.key: found[0]} if found else {}, following)

        request = query_request(body)
        if token is not None:
            request = replace(request, path=f"{PATH}?{urlencode({'pageToken': token})}")
        return wire.taking("analytics:query", Call(request, read, wire.ANALYTICS))


def entities(reply: Reply, wanted: Wanted) -> tuple[list[Json], str | None]:
    """Return what a page of r1 or r3 has of the conversation, and the token of the next page.

    An entity without an id is the one asked for: there is a filter for it.
    """
    answer = wire.object_of(reply)
    listed = answer.get("entities")
    if listed is not None and not isinstance(listed, list):
        raise Unreadable("genesys: conversation details are not a list")
    found = [
        entity
        for entity in wire.objects_in(listed)
        if str(entity.get("conversationId") or wanted.key).lower() == wanted.key
    ]
    return found, wire.text_of(answer.get("nextPageToken"))


def query_request(body: Json) -> Request:
    """Return the request with this body."""
    return Request(method="POST", path=PATH, template=PATH, json=body)


def days_around(wanted: Wanted) -> dict[str, str]:
    """Return when the conversation may have started, as r1 and r3 say it."""
    return {
        "dateFrom": _milliseconds(wanted.ended_at.astimezone(UTC) - DAYS_BEFORE),
        "dateTo": _milliseconds(wanted.ended_at.astimezone(UTC) + DAYS_AFTER),
    }


MOST_RESULTS = 100_000
"""The platform pages through no more of them (README.md, "Analytics")."""

MOST_FAILURES = 3
"""Answers 500 or 504, or none at all, after which a slice is taken for too large."""


class SliceTooLarge(Exception):
    """The slice has to be smaller; `reason` is what to raise where it cannot be."""

    def __init__(self, reason: Unavailable | Rejected) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(slots=True)
class Failures:
    """How often a slice has failed, over all its pages and readings."""

    can_split: bool
    """False for an hour: its failures are the upstream's, and are reported to its breaker."""

    count: int = 0

    def counting(self, call: Call[T]) -> Call[T]:
        """Return the call with each answer 500 or 504 counted, the guard's own retries too."""

        def read(reply: Reply) -> T:
            if reply.status in wire.TOO_LARGE:
                self.count += 1
                if self.can_split:
                    raise RequestTooLarge(str(wire.failure_of(reply)))
            return call.read(reply)

        return replace(call, read=read)


class DetailsQuery:
    """Reads the pages of slices, `batch` of them at a time where pages have numbers."""

    def __init__(self, api: Api, dialect: PagesDialect, batch: int) -> None:
        self._api = api
        self._dialect = dialect
        self._batch = batch

    async def page_batches(
        self, filters: Filters, part: Slice, failures: Failures
    ) -> AsyncGenerator[list[Page], None]:
        """Yield pages in order, a batch of them at a time; raises SliceTooLarge."""
        page = await self._page(filters, part, (1, None), failures)
        if (page.total or 0) > MOST_RESULTS:
            text = f"genesys: more than {MOST_RESULTS} conversations in {part}"
            raise SliceTooLarge(Rejected(text, status=400))
        total, token, number = page.total, page.token, 2
        yield [page]
        # A page is not kept while the next one is waited for: its conversations may be megabytes.
        del page
        while places := self._places(total, token, number):
            pages = await all_of([self._page(filters, part, place, failures) for place in places])
            if token is not None and pages[-1].token == token:
                raise Unavailable("genesys: the same page again, for ever")
            total, token, number = pages[-1].total, pages[-1].token, number + len(pages)
            yield pages
            del pages

    def _places(
        self, total: int | None, token: str | None, number: int
    ) -> list[tuple[int, str | None]]:
        """Return number and token of the pages to ask for next; none after the last page.

        `total` and `token`: of the newest page.
        """
        if token is not None:
            return [(number, token)]
        if total is None:
            return []
        # The newest total: what began while we read is on pages that were not there at first.
        last = ceil(min(total, MOST_RESULTS) / self._dialect.page_size)
        return [(n, None) for n in range(number, min(number + self._batch, last + 1))]

    async def _page(
        self, filters: Filters, part: Slice, place: tuple[int, str | None], failures: Failures
    ) -> Page:
        call = failures.counting(self._dialect.page(filters, part, *place))
        while True:
            before = failures.count
            try:
                return await with_background_retry(self._api, call)
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
