"""The first reader of a report's conversations, from JSON decoded whole: later ones equal it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from worker.clients.genesys import wire
from worker.clients.genesys.filters import REFERENCE_GROUPS, REFERENCE_METRICS
from worker.clients.http_types import Reply
from worker.jobs.reports.rows import LONGEST_MS, Row


def rows_of_platform(reply: Reply, asked: "Asked | None" = None) -> list[Row | None]:
    """Read a page of the platform."""
    listed = wire.objects_in(wire.object_of(reply).get("conversations"))
    return [row_of_platform(one, asked) for one in listed]


def rows_of_reference(reply: Reply) -> list[Row | None]:
    """Read a page of r4."""
    return list(map(row_of_reference, wire.objects_in(wire.object_of(reply).get("results"))))


Asked = Mapping[str, Collection[str]]
"""Values the query asked for, by dimension."""


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


AGENTS = {"agent", "user"}
QUEUES = {"acd"}
TALK_METRICS = {"tAnswered", "tTalk", "tTalkComplete"}
"""Of who answered. `tHandle` and `tAcw` are no sign: who does not respond is wrapped up, too."""

Json = Mapping[str, Any]


def row_of_platform(conversation: Json, asked: Asked | None = None) -> Row | None:
    """Read one conversation of a details reply; None when it has no id or no readable times.

    `asked`: a conversation through two queues counts for the one that was asked for.
    """
    identity, start = text_of(conversation.get("conversationId")), _start(conversation)
    if identity is None or start is None:
        return None
    end = conversation.get("conversationEnd")
    duration = None if end is None else (milliseconds_of(end) or 0) - start
    if duration is not None and duration < 0:
        return None
    agents = sorted(filter(_talked, _participants(conversation, AGENTS)), key=_joined)
    talks = sorted(_sessions(agents), key=_first_segment)
    # Of a conversation without an answer: where it was offered.
    offers = talks or sorted(_sessions(_participants(conversation, AGENTS)), key=_first_segment)
    asked = asked or {}
    return Row(
        id=identity,
        start_ms=start,
        duration_ms=duration,
        talk_ms=_sum("tTalk", talks),
        hold_ms=_sum("tHeld", talks),
        media_type=_media_type(conversation, offers, asked.get("mediaType", ())),
        queue_id=_queue_id(conversation, offers, asked.get("queueId", ())),
        direction=text_of(conversation.get("originatingDirection")),
        user_id=_pick((text_of(who.get("userId")) for who in agents), asked.get("userId", ())),
        division_id=_pick(_divisions(conversation), asked.get("divisionId", ())),
        wrapup_codes=_wrapup_codes(talks),
    )


def _start(conversation: Json) -> int | None:
    return milliseconds_of(conversation.get("conversationStart"))


def _participants(conversation: Json, purposes: Collection[str]) -> list[Json]:
    listed = objects_in(conversation, "participants")
    return [one for one in listed if text_of(one.get("purpose")) in purposes]


def _sessions(participants: Iterable[Json]) -> list[Json]:
    return [session for who in participants for session in objects_in(who, "sessions")]


def _talked(participant: Json) -> bool:
    """Return whether the participant answered; one whose sessions are not listed may have."""
    sessions = objects_in(participant, "sessions")
    return not sessions or any(_is_talk(session) for session in sessions)


def _is_talk(session: Json) -> bool:
    kinds = {text_of(segment.get("segmentType")) for segment in objects_in(session, "segments")}
    return "interact" in kinds or any(
        text_of(item.get("name")) in TALK_METRICS and whole_milliseconds(item.get("value"))
        for item in objects_in(session, "metrics")
    )


def _first_segment(session: Json) -> str:
    """Return when it began, in ISO 8601 UTC, which sorts as text; unknown comes last."""
    return min(
        filter(None, (text_of(s.get("segmentStart")) for s in objects_in(session, "segments"))),
        default="~",
    )


def _sum(metric: str, sessions: Iterable[Json]) -> int:
    """Add up; a metric that is missing did not occur."""
    return sum(
        whole_milliseconds(item.get("value")) or 0
        for session in sessions
        for item in objects_in(session, "metrics")
        if item.get("name") == metric
    )


def _media_type(conversation: Json, agents: list[Json], asked: Collection[str]) -> str | None:
    # The agent's, before the customer's; an asked one before both, as for queues.
    sessions = [*agents, *_sessions(objects_in(conversation, "participants"))]
    media = (text_of(session.get("mediaType")) for session in sessions)
    return _pick((kind and kind.lower() for kind in media), asked)


def _queue_id(conversation: Json, agents: list[Json], asked: Collection[str]) -> str | None:
    # The queue that answered, before the one that gave up; an asked one before both.
    waits = _sessions(_participants(conversation, QUEUES))
    return _pick(_queues([*agents, *waits]), asked)


def _queues(sessions: Iterable[Json]) -> Iterator[str | None]:
    for session in sessions:
        for segment in objects_in(session, "segments"):
            yield text_of(segment.get("queueId"))


def _joined(participant: Json) -> str:
    return min(map(_first_segment, objects_in(participant, "sessions")), default="~")


def _divisions(conversation: Json) -> list[str | None]:
    listed = conversation.get("divisionIds")
    return [text_of(one) for one in listed] if isinstance(listed, list) else []


def _wrapup_codes(sessions: Iterable[Json]) -> tuple[str, ...]:
    codes = (
        text_of(segment.get("wrapUpCode"))
        for session in sessions
        for segment in objects_in(session, "segments")
    )
    return tuple(dict.fromkeys(filter(None, codes)))


def _pick(values: Iterable[str | None], asked: Collection[str]) -> str | None:
    """Return the first value that was asked for, or else the first there is."""
    first = None
    for value in values:
        if value is not None and value in asked:
            return value
        first = first or value
        if first is not None and not asked:
            return first
    return first


MEDIA_TYPE, QUEUE_ID = REFERENCE_GROUPS
DURATION, TALK, HOLD, WRAPUP = REFERENCE_METRICS


def row_of_reference(result: Mapping[str, Any]) -> Row | None:
    """Read one entry of `results`; None when it has no readable time or a bad duration."""
    listed = result.get("metrics")
    metrics = listed if isinstance(listed, dict) else {}
    start = milliseconds_of(result.get("timestamp"))
    duration = _seconds(metrics, DURATION)
    if start is None or (duration is None and metrics.get(DURATION) is not None):
        return None
    media_type = text_of(result.get(MEDIA_TYPE))
    return Row(
        id=text_of(result.get("conversation.id")) or text_of(result.get("conversationId")),
        start_ms=start,
        duration_ms=duration,
        talk_ms=_seconds(metrics, TALK) or 0,
        hold_ms=_seconds(metrics, HOLD) or 0,
        media_type=media_type and media_type.lower(),
        queue_id=text_of(result.get(QUEUE_ID)),
        wrapup_codes=_codes(metrics.get(WRAPUP)),
    )


def _seconds(metrics: Mapping[str, Any], name: str) -> int | None:
    return whole_milliseconds(metrics.get(name), per_unit=1000)


def _codes(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(filter(None, map(text_of, listed))))
