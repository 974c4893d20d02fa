"""A conversation as a report counts it, read from either dialect. Pure.

Only what a row is made of is decoded. A member may have a value of any type: one of another type
than it should have is no data, and the rest of its conversation counts all the same.

Platform: talk and hold sit as metrics on the agents' sessions, in ms; queues and wrap-up codes on
segments. Reference: times are seconds, kept to the millisecond.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
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


def text_of(value: object) -> str | None:
    """Return a text that says something; None for anything else."""
    return value if isinstance(value, str) and value else None


T = TypeVar("T")
Scalar = str | int | float | bool | None
Listed = list[T | Scalar | list[Any]] | Scalar | dict[str, Any]
"""A list of objects; or anything."""


class Metric(Struct, gc=False):
    """A figure of a session."""

    name: Any = None
    value: Any = None


class Segment(Struct, rename="camel", gc=False):
    """A stretch of a session."""

    segment_type: Any = None
    segment_start: Any = None
    queue_id: Any = None
    wrap_up_code: Any = None


class Session(Struct, rename="camel", gc=False):
    """One medium of a participant."""

    media_type: Any = None
    metrics: Listed[Metric] = None
    segments: Listed[Segment] = None


class Participant(Struct, rename="camel", gc=False):
    """A customer, an agent or a queue."""

    purpose: Any = None
    user_id: Any = None
    sessions: Listed[Session] = None


class Conversation(Struct, rename="camel", gc=False):
    """One of a details reply."""

    conversation_id: Any = None
    conversation_start: Any = None
    conversation_end: Any = None
    originating_direction: Any = None
    division_ids: Any = None
    participants: Listed[Participant] = None


AGENTS = ("agent", "user")
QUEUE = "acd"
TALK_TIME = "tTalk"
HOLD_TIME = "tHeld"
TALK_METRICS = ("tAnswered", TALK_TIME, "tTalkComplete")
"""Of who answered. `tHandle` and `tAcw` are no sign: who does not respond is wrapped up, too."""


def row_of_platform(conversation: Conversation, asked: Asked = ALL) -> Row | None:
    """Read one conversation of a details reply; None when it has no id or no readable times.

    `asked`: a conversation through two queues counts for the one that was asked for.
    """
    identity = text_of(conversation.conversation_id)
    start = milliseconds_of(conversation.conversation_start)
    if identity is None or start is None:
        return None
    end = conversation.conversation_end
    duration = None if end is None else (milliseconds_of(end) or 0) - start
    if duration is not None and duration < 0:
        return None
    participants = _objects(Participant, conversation.participants)
    present = [_taken_part(who) for who in participants if who.purpose in AGENTS]
    agents = _by(_joined, [agent for agent in present if _talked(agent)])
    talks = _by(_began, [leg for agent in agents for leg in agent.legs])
    # Of a conversation without an answer: where it was offered.
    offers = talks or _by(_began, [leg for agent in present for leg in agent.legs])
    return Row(
        id=identity,
        start_ms=start,
        duration_ms=duration,
        talk_ms=sum([leg.talk_ms for leg in talks]),
        hold_ms=sum([leg.hold_ms for leg in talks]),
        # The agent's, before the customer's; an asked one before both, as for queues.
        media_type=_pick(_media_types(offers, participants), asked.get("mediaType", ())),
        # The queue that answered, before the one that gave up; an asked one before both.
        queue_id=_pick(_queue_ids(offers, participants), asked.get("queueId", ())),
        direction=text_of(conversation.originating_direction),
        user_id=_pick([agent.user_id for agent in agents], asked.get("userId", ())),
        division_id=_pick(_divisions(conversation.division_ids), asked.get("divisionId", ())),
        wrapup_codes=_wrapup_codes(talks),
    )


def _objects(kind: type[T], listed: Listed[T]) -> Sequence[T]:
    """Return the objects in a list; what is not an object is no data."""
    return [one for one in listed if type(one) is kind] if type(listed) is list else ()


class _Leg(Struct, gc=False):
    """What counts of an agent's session."""

    media_type: Any
    segments: Sequence[Segment]
    talk_ms: int
    hold_ms: int
    talked: bool


class _Agent(Struct, gc=False):
    user_id: str | None
    legs: list[_Leg]


def _taken_part(who: Participant) -> _Agent:
    sessions = _objects(Session, who.sessions)
    return _Agent(text_of(who.user_id), [_leg(session) for session in sessions])


def _leg(session: Session) -> _Leg:
    """Add up its metrics: one that is missing did not occur."""
    segments = _objects(Segment, session.segments)
    talked = "interact" in [segment.segment_type for segment in segments]
    talk_ms = hold_ms = 0
    for item in _objects(Metric, session.metrics):
        if item.name in TALK_METRICS:
            length = whole_milliseconds(item.value) or 0
            talked = talked or length > 0
            talk_ms += length if item.name == TALK_TIME else 0
        elif item.name == HOLD_TIME:
            hold_ms += whole_milliseconds(item.value) or 0
    return _Leg(session.media_type, segments, talk_ms, hold_ms, talked)


def _talked(agent: _Agent) -> bool:
    """Return whether the agent answered; one whose sessions are not listed may have."""
    return not agent.legs or any(leg.talked for leg in agent.legs)


def _by(key: Callable[[T], str], found: list[T]) -> list[T]:
    # Nearly always there is one: its key would cost more than all the rest of it.
    return sorted(found, key=key) if len(found) > 1 else found


def _joined(agent: _Agent) -> str:
    return min(map(_began, agent.legs), default="~")


def _began(leg: _Leg) -> str:
    """Return when it began, in ISO 8601 UTC, which sorts as text; unknown comes last."""
    starts = (text_of(segment.segment_start) for segment in leg.segments)
    return min(filter(None, starts), default="~")


def _media_types(offers: list[_Leg], others: Iterable[Participant]) -> Iterator[str | None]:
    sessions = (one for who in others for one in _objects(Session, who.sessions))
    for said in chain([leg.media_type for leg in offers], (one.media_type for one in sessions)):
        kind = text_of(said)
        yield kind and kind.lower()


def _queue_ids(offers: list[_Leg], others: Iterable[Participant]) -> Iterator[str | None]:
    for leg in offers:
        for segment in leg.segments:
            yield text_of(segment.queue_id)
    for who in others:
        if who.purpose == QUEUE:
            for session in _objects(Session, who.sessions):
                for segment in _objects(Segment, session.segments):
                    yield text_of(segment.queue_id)


def _divisions(listed: object) -> list[str | None]:
    return [text_of(one) for one in listed] if isinstance(listed, list) else []


def _wrapup_codes(legs: list[_Leg]) -> tuple[str, ...]:
    segments = [segment for leg in legs for segment in leg.segments if segment.wrap_up_code]
    codes = [text_of(segment.wrap_up_code) for segment in segments]
    return tuple(dict.fromkeys(filter(None, codes)))


def _pick(values: Iterable[str | None], asked: Collection[str]) -> str | None:
    """Return the first value that was asked for, or else the first there is."""
    if not asked:
        return next(filter(None, values), None)
    first = None
    for value in values:
        if value is not None and value in asked:
            return value
        first = first or value
    return first


MEDIA_TYPE, QUEUE_ID = REFERENCE_GROUPS
DURATION, TALK, HOLD, WRAPUP = REFERENCE_METRICS


class Metrics(Struct, gc=False):
    """The figures of a result; times are seconds."""

    duration: Any = field(default=None, name=DURATION)
    talk: Any = field(default=None, name=TALK)
    hold: Any = field(default=None, name=HOLD)
    wrapup: Any = field(default=None, name=WRAPUP)


class Result(Struct, gc=False):
    """One entry of `results`."""

    timestamp: Any = None
    conversation_id: Any = field(default=None, name="conversation.id")
    other_id: Any = field(default=None, name="conversationId")
    media_type: Any = field(default=None, name=MEDIA_TYPE)
    queue_id: Any = field(default=None, name=QUEUE_ID)
    metrics: Metrics | Scalar | list[Any] = None


NO_METRICS = Metrics()


def row_of_reference(result: Result) -> Row | None:
    """Read one result; None when it has no readable time or a bad duration."""
    metrics = result.metrics if isinstance(result.metrics, Metrics) else NO_METRICS
    start, duration = milliseconds_of(result.timestamp), _of_seconds(metrics.duration)
    if start is None or (duration is None and metrics.duration is not None):
        return None
    media_type = text_of(result.media_type)
    return Row(
        id=text_of(result.conversation_id) or text_of(result.other_id),
        start_ms=start,
        duration_ms=duration,
        talk_ms=_of_seconds(metrics.talk) or 0,
        hold_ms=_of_seconds(metrics.hold) or 0,
        media_type=media_type and media_type.lower(),
        queue_id=text_of(result.queue_id),
        wrapup_codes=_codes(metrics.wrapup),
    )


def _of_seconds(value: object) -> int | None:
    return whole_milliseconds(value, per_unit=1000)


def _codes(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(filter(None, map(text_of, listed))))
