"""Pages of conversation details: what is asked and how a reply is read, in both dialects. Pure.

Platform: `POST /api/v2/analytics/conversations/details/query` (README.md, "Analytics"). Reference:
the report query of text r4, on the same path.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from worker.clients.genesys import wire
from worker.clients.genesys.details_by_id import UPSTREAM
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.domain.reports import reference_row
from worker.domain.reports.platform_row import row_of_platform
from worker.domain.reports.reference_row import row_of_reference
from worker.domain.reports.report import iso
from worker.domain.reports.row import ALIASES, DIMENSIONS, Row, objects_in
from worker.domain.reports.slicing import Slice
from worker.errors import Unreadable
from worker.events.types import ReportDue

PATH = "/api/v2/analytics/conversations/details/query"
LARGEST_PAGE = 100

CONVERSATION_DIMENSIONS = {"conversationId", "divisionId", "externalTag", "originatingDirection"}
"""Those that are no dimension of a segment, among the ones a report is likely filtered by."""

ENUMS = {"mediaType", "originatingDirection"}
"""Dimensions whose values analytics writes in lower case, and events in upper case."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some conversations, sorted by start."""

    rows: list[Row] = field(repr=False)
    unreadable: int
    """Entries without id or times."""

    total: int | None = None
    """`totalHits`; None where the dialect does not say."""

    token: str | None = None
    """What asks for the next page, where pages have no numbers; None: this was the last."""

    @property
    def entries(self) -> int:
        """Conversations on the page, readable or not."""
        return len(self.rows) + self.unreadable


class DetailsDialect(Protocol):
    """How one dialect asks for the conversations of a slice."""

    page_size: int
    """Entries of a full page."""

    dimensions: Collection[str]
    """What its rows can be grouped by."""

    def page(self, due: ReportDue, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask for a page: by its number, from 1, or by the token of the one before."""


class PlatformDetails:
    """The Platform API: pages by number, and `totalHits`."""

    def __init__(self, page_size: int = LARGEST_PAGE) -> None:
        self.page_size = page_size
        self.dimensions: Collection[str] = DIMENSIONS

    def page(self, due: ReportDue, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask by number; the platform has no tokens here."""
        del token
        paging = {"pageSize": self.page_size, "pageNumber": number}
        body = {**query_body(due, part), "paging": paging}
        request = Request(method="POST", path=PATH, template=PATH, json=body)
        return Call(request, partial(self._read, due), UPSTREAM)

    def _read(self, due: ReportDue, reply: Reply) -> Page:
        page = platform_page(wire.object_of(reply), due)
        if page.total is None and page.entries >= self.page_size:
            # It would pass for the last one, and the report without the others for complete.
            raise Unreadable("genesys: full page of details without totalHits")
        return page


class ReferenceDetails:
    """r4's report query: pages by token."""

    def __init__(self, page_size: int = LARGEST_PAGE) -> None:
        self.page_size = page_size
        self.dimensions: Collection[str] = ("mediaType", "queueId")

    def page(self, due: ReportDue, part: Slice, number: int, token: str | None) -> Call[Page]:
        """Ask by token; r4's pages have no numbers."""
        del number
        body: dict[str, Any] = {
            "query": {
                "type": "conversation",
                "timeRange": {"from": iso(part.start), "to": iso(part.end)},
            },
            "interval": "PT1H",
            "groupBy": [reference_row.MEDIA_TYPE, reference_row.QUEUE_ID],
            "metrics": [
                reference_row.DURATION,
                reference_row.TALK,
                reference_row.HOLD,
                reference_row.WRAPUP,
            ],
            "filter": _reference_filter(due),
            "size": self.page_size,
        }
        if token is not None:
            body["pageToken"] = token
        request = Request(method="POST", path=PATH, template=PATH, json=body)
        return Call(request, _reference_page, UPSTREAM)


def details_dialect(name: str, page_size: int) -> DetailsDialect:
    """Return the dialect that GENESYS_DIALECT names."""
    kind = ReferenceDetails if name == "reference" else PlatformDetails
    return kind(page_size)


def query_body(due: ReportDue, part: Slice) -> dict[str, Any]:
    """Return the body of a platform query, less its `paging`."""
    body: dict[str, Any] = {
        "interval": f"{_milliseconds(part.start)}/{_milliseconds(part.end)}",
        # By start: what begins while we read comes at the end and shifts nothing.
        "order": "asc",
        "orderBy": "conversationStart",
    }
    filters = {
        "segmentFilters": [one for name, one in _filters(due) if not _is_whole(name)],
        "conversationFilters": [one for name, one in _filters(due) if _is_whole(name)],
    }
    return body | {name: given for name, given in filters.items() if given}


def platform_page(answer: Json, due: ReportDue) -> Page:
    """Read a reply that holds `conversations`; an empty one may leave them out."""
    asked = {name: set(values) for name, values in _asked(due)}
    found = objects_in(answer, "conversations")
    rows = [row_of_platform(conversation, asked) for conversation in found]
    total = answer.get("totalHits")
    return _page(rows, total=total if isinstance(total, int) else None)


def _page(rows: list[Row | None], *, total: int | None = None, token: str | None = None) -> Page:
    readable = [row for row in rows if row is not None]
    readable.sort(key=attrgetter("start_ms"))
    return Page(rows=readable, unreadable=len(rows) - len(readable), total=total, token=token)


def _reference_page(reply: Reply) -> Page:
    answer = wire.object_of(reply)
    token = answer.get("nextPageToken")
    rows = [row_of_reference(result) for result in objects_in(answer, "results")]
    return _page(rows, token=token if isinstance(token, str) and token else None)


def _asked(due: ReportDue) -> list[tuple[str, tuple[str, ...]]]:
    """Return dimension and values of every filter; the values of one are alternatives."""
    asked = [("mediaType", (due.media_type,))] if due.media_type else []
    named = [(ALIASES.get(name, name), value) for name, value in due.filters]
    further = [(name, (value.lower() if name in ENUMS else value,)) for name, value in named]
    queues = [("queueId", due.queue_ids)] if due.queue_ids else []
    return [*asked, *queues, *further]


def _filters(due: ReportDue) -> list[tuple[str, Json]]:
    return [(name, _either(name, values)) for name, values in _asked(due)]


def _is_whole(dimension: str) -> bool:
    return dimension in CONVERSATION_DIMENSIONS


def _either(dimension: str, values: Iterable[str]) -> Json:
    predicates = [
        {"type": "dimension", "dimension": dimension, "operator": "matches", "value": value}
        for value in values
    ]
    return {"type": "or" if len(predicates) > 1 else "and", "predicates": predicates}


def _reference_filter(due: ReportDue) -> list[Json]:
    """Return the form of r1 and r4: `{type, value}`, a list of values where there are several."""
    names = {ours: theirs for theirs, ours in ALIASES.items() if "." in theirs}
    return [
        {"type": names.get(name, name), "value": values[0] if len(values) == 1 else list(values)}
        for name, values in _asked(due)
    ]


def _milliseconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
