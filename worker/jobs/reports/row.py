"""One conversation as a report sees it: small, exact, and never with an invented value."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from worker.api import Permanent
from worker.clients.genesys.details_query import ALIASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A conversation. Times are whole milliseconds, the platform's own unit: sums stay exact."""

    id: str | None
    """None where the reference dialect gives none; such a row is never taken for a repeat."""

    start_ms: int
    """Since 1970, UTC."""

    duration_ms: int | None
    """None: still live."""

    talk_ms: int = 0
    hold_ms: int = 0
    media_type: str | None = None
    queue_id: str | None = None
    """The asked queue it came through; unasked, the first that answered it."""

    direction: str | None = None
    user_id: str | None = None
    """The first agent."""

    division_id: str | None = None
    wrapup_codes: tuple[str, ...] = ()


MEDIA_TYPES = (
    "callback",
    "chat",
    "cobrowse",
    "email",
    "internalmessage",
    "message",
    "screenmonitoring",
    "screenshare",
    "unknown",
    "video",
    "voice",
)
"""Of a session, as Genesys lists them."""

DIMENSIONS = {
    "mediaType": attrgetter("media_type"),
    "queueId": attrgetter("queue_id"),
    "originatingDirection": attrgetter("direction"),
    "userId": attrgetter("user_id"),
    "divisionId": attrgetter("division_id"),
}
"""What a report can be grouped by, and where a row has it."""

LONGEST_MS = 2**53
"""What a float still counts to the millisecond; a longer time is none, and no sum could hold it."""

Asked = Mapping[str, Collection[str]]
"""Values the query asked for, by dimension."""


def dimensions_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the platform's names, each once; Permanent for a dimension no row has."""
    known = tuple(dict.fromkeys(ALIASES.get(name, name) for name in names))
    for position, name in enumerate(known, start=1):
        if name not in DIMENSIONS:
            raise Permanent(f"groupBy: entry {position} is none of {', '.join(DIMENSIONS)}")
    return known


def milliseconds_of(value: object) -> int | None:
    """Read an ISO 8601 time with an offset; None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return round(moment.timestamp() * 1000)


def whole_milliseconds(value: object, *, per_unit: int = 1) -> int | None:
    """Read a length of time given in units of `per_unit` ms; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * per_unit) if 0 <= value * per_unit <= LONGEST_MS else None


def text_of(value: object) -> str | None:
    """Return a text that says something; None for anything else."""
    return value if isinstance(value, str) and value else None


def objects_in(value: Any, name: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list `name` of `value`; what is not an object is no data."""
    listed = value.get(name)
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
