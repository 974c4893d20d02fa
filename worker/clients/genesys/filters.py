"""Which conversations a details query asks for, and how: the slice, the filters and the body.

Dimensions and metrics have the names of the platform.

The lists are those of the SDK's `ConversationDetailQueryPredicate` and
`SegmentDetailQueryPredicate`: a dimension among the wrong filters is answered 400.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from worker.errors import Permanent

Json = Mapping[str, Any]
Operator = Literal["eq", "in", "contains", "gt", "lt"]
OPERATORS: Mapping[str, Operator] = {name: name for name in ("eq", "in", "contains", "gt", "lt")}

CONVERSATION_DIMENSIONS = {
    "accessAttribute",
    "conversationEnd",
    "conversationId",
    "conversationInitiator",
    "conversationStart",
    "customerParticipation",
    "divisionId",
    "externalTag",
    "mediaStatsMinConversationMos",
    "originatingDirection",
    "originatingSocialMediaPublic",
}
"""All others are dimensions of a segment."""

SEGMENT_METRICS = {"tSegmentDuration"}
NUMERIC_DIMENSIONS = {"mediaStatsMinConversationMos"}

ALIASES = {
    "conversation.media.type": "mediaType",
    "routing.queue.id": "queueId",
    "direction": "originatingDirection",
}
"""The names of the reference dialect's text r4, and a short one, for the platform's dimensions."""

ENUMS = {"mediaType", "originatingDirection"}
"""Dimensions whose values analytics writes in lower case, and events in upper case."""


class Condition(NamedTuple):
    """What must hold of a dimension or a metric, by the names of the platform or of r4."""

    name: str
    values: tuple[str, ...]
    """Alternatives; a number as text, with `gt` and `lt`."""

    operator: Operator = "in"
    """`eq` and `in` are alike: there may be one value or several."""

    @staticmethod
    def operators() -> Mapping[str, Operator]:
        """Return the operators by their names."""
        return OPERATORS

    def normal(self) -> "Condition":
        """Return it by the platform's name, and with the values as analytics writes them."""
        name = ALIASES.get(self.name, self.name)
        values = tuple(value.lower() for value in self.values) if name in ENUMS else self.values
        return Condition(name, values, self.operator)


class Filters(Struct, frozen=True, kw_only=True):
    """Which conversations are asked for; all of it must match."""

    media_type: str | None = None
    queue_ids: tuple[str, ...] = ()
    others: tuple[Condition, ...] = ()

    def conditions(self) -> list[Condition]:
        """Return all of it, by the platform's names."""
        media = [Condition("mediaType", (self.media_type,), "eq")] if self.media_type else []
        queues = [Condition("queueId", self.queue_ids)] if self.queue_ids else []
        return [*media, *queues, *(one.normal() for one in self.others)]

    def by_dimension(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return dimension and values of what must be equal to one of them."""
        return [(one.name, one.values) for one in self.conditions() if one.operator in {"eq", "in"}]


def platform_filters(filters: Filters) -> dict[str, Any]:
    """Return the lists of filters of a details query; Permanent for what the platform cannot do."""
    segments: list[Json] = []
    conversations: list[Json] = []
    for one in filters.conditions():
        is_of_segment = one.name in SEGMENT_METRICS or (
            not _is_metric(one) and one.name not in CONVERSATION_DIMENSIONS
        )
        (segments if is_of_segment else conversations).append(_clause(one))
    lists = {"segmentFilters": segments, "conversationFilters": conversations}
    return {name: clauses for name, clauses in lists.items() if clauses}


def reference_filters(filters: Filters) -> list[Json]:
    """Return the form of r4: `path`, `operator`, and a value or, with `in`, a list of them."""
    names = {ours: theirs for theirs, ours in ALIASES.items() if "." in theirs}
    return [
        {
            "type": "simple",
            "path": names.get(one.name, one.name),
            "value": _reference_value(one),
            "operator": "in" if len(one.values) > 1 else one.operator,
        }
        for one in filters.conditions()
    ]


def _reference_value(one: Condition) -> str | int | float | list[str]:
    if one.operator in {"gt", "lt"}:
        return _number(one.values[0])
    return list(one.values) if one.operator == "in" or len(one.values) > 1 else one.values[0]


def _is_metric(one: Condition) -> bool:
    return one.operator in {"gt", "lt"} and one.name not in NUMERIC_DIMENSIONS


def _clause(one: Condition) -> Json:
    predicates = list(_predicates(one))
    return {"type": "or" if len(predicates) > 1 else "and", "predicates": predicates}


def _predicates(one: Condition) -> Iterator[Json]:
    kind = "metric" if _is_metric(one) else "dimension"
    match one.operator:
        case "eq" | "in":
            for value in one.values:
                yield {"type": kind, kind: one.name, "operator": "matches", "value": value}
        case "gt" | "lt":
            yield {"type": kind, kind: one.name, "range": {one.operator: _number(one.values[0])}}
        case "contains":
            raise Permanent("filters: the platform has no operator contains")


def _number(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)


REFERENCE_GROUPS = ("conversation.media.type", "routing.queue.id")
REFERENCE_METRICS = (
    "conversation.duration.seconds",
    "agent.talk.seconds",
    "agent.hold.seconds",
    "wrapup.code",
)
"""What r4's rows have; times are seconds."""


class Slice(Struct, frozen=True, order=True):
    """A piece of an interval, in UTC; `end` is the first instant that is not in it."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%MZ}/{self.end:%Y-%m-%dT%H:%MZ}"


def query_body(filters: Filters, part: Slice) -> dict[str, Any]:
    """Return the body of a platform query, less its `paging`."""
    body: dict[str, Any] = {
        "interval": f"{milliseconds(part.start)}/{milliseconds(part.end)}",
        # By start: what begins while we read comes at the end and shifts nothing.
        "order": "asc",
        "orderBy": "conversationStart",
    }
    return body | platform_filters(filters)


def reference_body(filters: Filters, part: Slice) -> dict[str, Any]:
    """Return the body of r4's report query, less its `pageToken`."""
    return {
        "query": {
            "type": "conversation",
            "timeRange": {"start": _utc(part.start), "end": _utc(part.end)},
        },
        "interval": "PT1H",
        "groupBy": list(REFERENCE_GROUPS),
        "metrics": list(REFERENCE_METRICS),
        "filter": reference_filters(filters),
    }


def milliseconds(moment: datetime) -> str:
    """Return a time in UTC as the platform writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
