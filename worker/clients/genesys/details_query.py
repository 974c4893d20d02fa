"""The details query: all conversations of an interval, and the texts' queries for one of them.

`POST /api/v2/analytics/conversations/details/query` (README.md, "Analytics"), whose pages have
numbers. The reference texts r1, r3 and r4 each have a body of their own on the same path, and pages
by token. Conversations are handed on as they came; the caller reads them, by a type of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

import orjson
from msgspec import Raw, Struct, structs
from msgspec.json import Decoder

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api, wait_of, with_background_retry
from worker.clients.genesys.filters import (
    Filters,
    Slice,
    milliseconds,
    query_body,
    reference_body,
)
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request, as_written, decoded, each
from worker.errors import Rejected, RequestTooLarge, Unavailable, Unreadable

PATH = "/api/v2/analytics/conversations/details/query"
LARGEST_PAGE = 100

Json = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some conversations."""

    entries: Sequence[Raw] = field(default=(), repr=False)
    """Each as it was written, in the order of the reply."""

    total: int | None = None
    """`totalHits`; None where the dialect does not say."""

    token: str | None = None
    """What asks for the next page, where pages have no numbers; None: this was the last."""

    @property
    def conversations(self) -> list[Json]:
        """All of them, whole, as the dialect has them."""
        return list(self.read_by(dict))

    def read_by(self, kind: type[T]) -> Iterator[T]:
        """Yield each as an object of a type, when it is asked for: a page may be megabytes.

        The type should take every JSON value; raises Unreadable for what it does not take.
        """
        return each("genesys", self.entries, kind)


Listed = list[Raw] | str | int | float | bool | dict[str, Any] | None
"""A list whose entries are read later; or anything."""


class _Details(Struct, rename="camel", gc=False):
    conversations: Listed = None
    results: Listed = None
    total_hits: Any = None
    next_page_token: Any = None
    cursor: Any = None


_DETAILS = Decoder(_Details)


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


class PlatformPages(Struct, frozen=True):
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
        page = platform_page(reply)
        if page.total is None and len(page.entries) >= self.page_size:
            # It would pass for the last one, and the report without the others for complete.
            raise Unreadable("genesys: full page of details without totalHits")
        return page


class ReferencePages(Struct, frozen=True):
    """r4's report query: pages by token, of a size that the server chooses."""

    page_size: int = LARGEST_PAGE
    name: str = "reference"

    def page(self, filters: Filters, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask by token; r4's pages have no numbers."""
        del number
        body = reference_body(filters, part)
        if token is not None:
            body["pageToken"] = token
        call = Call(query_request(body), _reference_page, wire.ANALYTICS)
        return wire.taking("analytics:read", call)


def platform_page(reply: Reply) -> Page:
    """Read a reply with `conversations`, which an empty one may leave out, and perhaps a cursor."""
    answer = _details(reply)
    return Page(
        entries=as_written(answer.conversations),
        total=answer.total_hits if isinstance(answer.total_hits, int) else None,
        token=wire.text_of(answer.cursor),
    )


def _details(reply: Reply) -> _Details:
    """As `wire.object_of`, with the conversations as they were written."""
    if not 200 <= reply.status < 300:
        raise wire.failure_of(reply)
    if (found := decoded(reply.body, _DETAILS)) is not None:
        return found
    # Odd JSON, or none: read whole, and written anew.
    return _DETAILS.decode(orjson.dumps(wire.object_of(reply)))


def _reference_page(reply: Reply) -> Page:
    answer = _details(reply)
    token = wire.text_of(answer.next_page_token)
    return Page(entries=as_written(answer.results), token=token)


Details = Mapping[str, Any]
"""A conversation as analytics answers it, untouched; attributes are not in it."""


CUSTOMER_PURPOSES = {"customer", "external"}
"""`customer` on ACD conversations, `external` on others."""


class Wanted(Struct, frozen=True):
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


class ReferenceDetails(Struct, frozen=True):
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
        "dateFrom": milliseconds(wanted.ended_at.astimezone(UTC) - DAYS_BEFORE),
        "dateTo": milliseconds(wanted.ended_at.astimezone(UTC) + DAYS_AFTER),
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


class Failures(Struct):
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

        return structs.replace(call, read=read)


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
