"""A conversation as a report counts it, read from either dialect. Pure.

Only what a row is made of is decoded. A member of another type than it should have is no data, and
is left out when it is decoded; the rest of its conversation counts all the same.

Platform: talk and hold sit as metrics on the agents' sessions, in ms; queues and wrap-up codes on
segments. Reference: times are seconds, kept to the millisecond.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct, field

from worker.api import ALIASES, REFERENCE_GROUPS, REFERENCE_METRICS, Permanent


class Row(Struct, frozen=True, kw_only=True, gc=False):
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
    """The first agent who talked: one who was only alerted has no part in it."""

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
    "mediaType": "media_type",
    "queueId": "queue_id",
    "originatingDirection": "direction",
    "userId": "user_id",
    "divisionId": "division_id",
}
"""What a report can be grouped by, and where a row has it."""

LONGEST_MS = 2**53
"""What a float still counts to the millisecond; a longer time is none, and no sum could hold it."""

Asked = Mapping[str, Collection[str]]
"""Values the query asked for, by dimension."""

ALL: Asked = MappingProxyType({})
"""No value of any dimension was asked for: all were."""


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
    if type(value) is not int and type(value) is not float:  # a bool is an int to isinstance
        return None
    return round(value * per_unit) if 0 <= value * per_unit <= LONGEST_MS else None


class Metric(Struct, gc=False):
    """A figure of a session."""

    name: str | None = None
    value: int | float | None = None


class Segment(Struct, rename="camel", gc=False):
    """A stretch of a session."""

    segment_type: str | None = None
    segment_start: str | None = None
    queue_id: str | None = None
    wrap_up_code: str | None = None


class Session(Struct, rename="camel", gc=False):
    """One medium of a participant."""

    media_type: str | None = None
    metrics: list[Metric] | None = None
    segments: list[Segment] | None = None


class Participant(Struct, rename="camel", gc=False):
    """A customer, an agent or a queue."""

    purpose: str | None = None
    user_id: str | None = None
    sessions: list[Session] | None = None


class Conversation(Struct, rename="camel", gc=False):
    """One of a details reply."""

    conversation_id: str | None = None
    conversation_start: str | None = None
    conversation_end: Any = None
    """Any: a bad one does not make the conversation a live one."""

    originating_direction: str | None = None
    division_ids: list[str] | None = None
    participants: list[Participant] | None = None


AGENTS = {"agent", "user"}
QUEUE = "acd"
TALK_METRICS = {"tAnswered", "tTalk", "tTalkComplete"}
"""Of who answered. `tHandle` and `tAcw` are no sign: who does not respond is wrapped up, too."""

T = TypeVar("T")


def row_of_platform(conversation: Conversation, asked: Asked = ALL) -> Row | None:
    """Read one conversation of a details reply; None when it has no id or no readable times.

    `asked`: a conversation through two queues counts for the one that was asked for.
    """
    start, end = milliseconds_of(conversation.conversation_start), conversation.conversation_end
    if start is None or not conversation.conversation_id:
        return None
    duration = None if end is None else (milliseconds_of(end) or 0) - start
    if duration is not None and duration < 0:
        return None
    participants = conversation.participants or []
    present = [who for who in participants if who.purpose in AGENTS]
    agents = _by(_joined, [who for who in present if _talked(who)])
    talks = _by(_began, [one for who in agents for one in who.sessions or ()])
    # Of a conversation without an answer: where it was offered.
    offers = talks or _by(_began, [one for who in present for one in who.sessions or ()])
    talk_ms, hold_ms = _times(talks)
    return Row(
        id=conversation.conversation_id,
        start_ms=start,
        duration_ms=duration,
        talk_ms=talk_ms,
        hold_ms=hold_ms,
        # The agent's, before the customer's; an asked one before both, as for queues.
        media_type=_pick(_media_types(offers, participants), asked.get("mediaType")),
        # The queue that answered, before the one that gave up; an asked one before both.
        queue_id=_pick(_queue_ids(offers, participants), asked.get("queueId")),
        direction=conversation.originating_direction or None,
        user_id=_pick([who.user_id for who in agents], asked.get("userId")),
        division_id=_pick(conversation.division_ids or (), asked.get("divisionId")),
        wrapup_codes=_wrapup_codes(talks),
    )


def _by(key: Callable[[T], str], found: list[T]) -> list[T]:
    # Nearly always there is one: its key would cost more than all the rest of it.
    return sorted(found, key=key) if len(found) > 1 else found


def _talked(participant: Participant) -> bool:
    """Return whether the participant answered; one whose sessions are not listed may have."""
    return not participant.sessions or any(map(_is_talk, participant.sessions))


def _is_talk(session: Session) -> bool:
    for segment in session.segments or ():
        if segment.segment_type == "interact":
            return True
    return any(
        item.name in TALK_METRICS and whole_milliseconds(item.value)
        for item in session.metrics or ()
    )


def _joined(participant: Participant) -> str:
    return min(map(_began, participant.sessions or ()), default="~")


def _began(session: Session) -> str:
    """Return when it began, in ISO 8601 UTC, which sorts as text; unknown comes last."""
    starts = (segment.segment_start for segment in session.segments or ())
    return min(filter(None, starts), default="~")


def _times(sessions: Iterable[Session]) -> tuple[int, int]:
    """Add up talk and hold; a metric that is missing did not occur."""
    talk_ms = hold_ms = 0
    for session in sessions:
        for item in session.metrics or ():
            if item.name == "tTalk":
                talk_ms += whole_milliseconds(item.value) or 0
            elif item.name == "tHeld":
                hold_ms += whole_milliseconds(item.value) or 0
    return talk_ms, hold_ms


def _media_types(offers: list[Session], others: list[Participant]) -> Iterator[str]:
    for session in chain(offers, (one for who in others for one in who.sessions or ())):
        if session.media_type:
            yield session.media_type.lower()


def _queue_ids(offers: list[Session], others: list[Participant]) -> Iterator[str | None]:
    waits = (one for who in others if who.purpose == QUEUE for one in who.sessions or ())
    for session in chain(offers, waits):
        for segment in session.segments or ():
            yield segment.queue_id


def _wrapup_codes(sessions: list[Session]) -> tuple[str, ...]:
    codes = [segment.wrap_up_code for one in sessions for segment in one.segments or ()]
    return tuple(dict.fromkeys(filter(None, codes)))


def _pick(values: Iterable[str | None], asked: Collection[str] | None) -> str | None:
    """Return the first value that was asked for, or else the first there is."""
    if not asked:
        return next(filter(None, values), None)
    first = None
    for value in filter(None, values):
        if value in asked:
            return value
        first = first or value
    return first


MEDIA_TYPE, QUEUE_ID = REFERENCE_GROUPS
DURATION, TALK, HOLD, WRAPUP = REFERENCE_METRICS


class Metrics(Struct, gc=False):
    """The figures of a result; times are seconds."""

    duration: Any = field(default=None, name=DURATION)
    """Any: a bad one does not make the conversation a live one."""

    talk: int | float | None = field(default=None, name=TALK)
    hold: int | float | None = field(default=None, name=HOLD)
    wrapup: Any = field(default=None, name=WRAPUP)
    """A code, or a list of them."""


class Result(Struct, gc=False):
    """One entry of `results`."""

    timestamp: str | None = None
    conversation_id: str | None = field(default=None, name="conversation.id")
    other_id: str | None = field(default=None, name="conversationId")
    media_type: str | None = field(default=None, name=MEDIA_TYPE)
    queue_id: str | None = field(default=None, name=QUEUE_ID)
    metrics: Metrics = field(default_factory=Metrics)


def row_of_reference(result: Result) -> Row | None:
    """Read one result; None when it has no readable time or a bad duration."""
    metrics = result.metrics
    start, duration = milliseconds_of(result.timestamp), _of_seconds(metrics.duration)
    if start is None or (duration is None and metrics.duration is not None):
        return None
    return Row(
        id=result.conversation_id or result.other_id or None,
        start_ms=start,
        duration_ms=duration,
        talk_ms=_of_seconds(metrics.talk) or 0,
        hold_ms=_of_seconds(metrics.hold) or 0,
        media_type=result.media_type.lower() if result.media_type else None,
        queue_id=result.queue_id or None,
        wrapup_codes=_codes(metrics.wrapup),
    )


def _of_seconds(value: object) -> int | None:
    return whole_milliseconds(value, per_unit=1000)


def _codes(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(one for one in listed if isinstance(one, str) and one))
