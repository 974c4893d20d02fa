"""Conversation details by id: requests and replies of both dialects. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from worker.clients.genesys.wire import Call, object_of
from worker.clients.http_types import Reply, Request
from worker.domain.moment import utc_text
from worker.errors import Unreadable

Details = Mapping[str, Any]
"""A conversation as analytics answers it, untouched; attributes are not in it."""

UPSTREAM = "analytics"
QUERY_PATH = "/api/v2/analytics/conversations/details/query"
DAYS_BEFORE = timedelta(days=6)
DAYS_AFTER = timedelta(days=1)
"""A query finds conversations by the day they started on, and a span of a week is always allowed:
messages may stay open for days."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One conversation to be looked up; its id is a UUID."""

    conversation_id: str
    ended_at: datetime

    @property
    def key(self) -> str:
        """The id as replies are keyed by it: UUIDs are the same in either case."""
        return self.conversation_id.lower()


class DetailsDialect(Protocol):
    """How details are asked for."""

    @property
    def ids_per_request(self) -> int:
        """Conversations one request may ask for."""

    def details(self, wanted: Sequence[Wanted]) -> Call[Mapping[str, Details]]:
        """Ask for the conversations; the answer holds those there are, by lower-case id."""


@dataclass(frozen=True, slots=True)
class PlatformDetails:
    """`GET /api/v2/analytics/conversations/details?id=` (README.md, "Analytics")."""

    ids_per_request: int = 100
    """The cap is unpublished; 100 is what integrators use."""

    def details(self, wanted: Sequence[Wanted]) -> Call[Mapping[str, Details]]:
        """Ask for up to a hundred at once."""
        path = "/api/v2/analytics/conversations/details"
        ids = ",".join(one.conversation_id for one in wanted)
        request = Request(method="GET", path=f"{path}?id={ids}", template=f"{path}?id={{ids}}")
        return Call(request, _conversations, UPSTREAM)


@dataclass(frozen=True, slots=True)
class ReferenceDetails:
    """The details query of r1: one conversation a request.

    Its filters must all match, so two ids in one query would find nothing.
    """

    ids_per_request: int = 1

    def details(self, wanted: Sequence[Wanted]) -> Call[Mapping[str, Details]]:
        """Ask for one: `wanted` has that length."""
        request = Request(
            method="POST", path=QUERY_PATH, template=QUERY_PATH, json=reference_query(wanted[0])
        )
        return Call(request, entities, UPSTREAM)


def reference_query(wanted: Wanted) -> dict[str, Any]:
    """Return r1's body for one conversation; what is asked of it may be added."""
    return {
        "dateFrom": utc_text(wanted.ended_at - DAYS_BEFORE),
        "dateTo": utc_text(wanted.ended_at + DAYS_AFTER),
        "groupBy": ["conversationId"],
        "filter": [{"type": "conversationId", "value": wanted.conversation_id}],
        "size": 1,
    }


def entities(reply: Reply) -> Mapping[str, Details]:
    """Read the first page of a reference query: one id has no second one."""
    return _by_id(object_of(reply).get("entities"))


def _conversations(reply: Reply) -> Mapping[str, Details]:
    return _by_id(object_of(reply).get("conversations"))


def _by_id(records: object) -> Mapping[str, Details]:
    """Key the records by conversation; an answer without any may leave the list out."""
    if records is None:
        return {}
    if not isinstance(records, list):
        raise Unreadable("genesys: conversation details are not a list")
    found = (record for record in records if isinstance(record, dict))
    return {
        record["conversationId"].lower(): record
        for record in found
        if isinstance(record.get("conversationId"), str)
    }
