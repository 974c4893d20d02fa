"""A conversation of the Platform API as a row.

Talk and hold sit as metrics on the agents' sessions, in ms; queues and wrap-up codes on segments.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from worker.jobs.reports.row import (
    Asked,
    Row,
    milliseconds_of,
    objects_in,
    text_of,
    whole_milliseconds,
)

AGENTS = {"agent", "user"}
QUEUES = {"acd"}

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
    agents = sorted(_sessions(conversation, AGENTS), key=_first_segment)
    asked = asked or {}
    return Row(
        id=identity,
        start_ms=start,
        duration_ms=duration,
        talk_ms=_sum("tTalk", agents),
        hold_ms=_sum("tHeld", agents),
        media_type=_media_type(conversation, agents, asked.get("mediaType", ())),
        queue_id=_queue_id(conversation, agents, asked.get("queueId", ())),
        direction=text_of(conversation.get("originatingDirection")),
        user_id=_pick(_users(conversation), asked.get("userId", ())),
        division_id=_pick(_divisions(conversation), asked.get("divisionId", ())),
        wrapup_codes=_wrapup_codes(agents),
    )


def _start(conversation: Json) -> int | None:
    return milliseconds_of(conversation.get("conversationStart"))


def _sessions(conversation: Json, purposes: Collection[str] | None = None) -> list[Json]:
    return [
        session
        for participant in objects_in(conversation, "participants")
        if purposes is None or text_of(participant.get("purpose")) in purposes
        for session in objects_in(participant, "sessions")
    ]


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
    sessions = [*agents, *_sessions(conversation)]
    media = (text_of(session.get("mediaType")) for session in sessions)
    return _pick((kind and kind.lower() for kind in media), asked)


def _queue_id(conversation: Json, agents: list[Json], asked: Collection[str]) -> str | None:
    # The queue that answered, before the one that gave up; an asked one before both.
    return _pick(_queues([*agents, *_sessions(conversation, QUEUES)]), asked)


def _queues(sessions: Iterable[Json]) -> Iterator[str | None]:
    for session in sessions:
        for segment in objects_in(session, "segments"):
            yield text_of(segment.get("queueId"))


def _users(conversation: Json) -> Iterator[str | None]:
    everybody = sorted(objects_in(conversation, "participants"), key=_joined)
    for participant in everybody:
        if text_of(participant.get("purpose")) in AGENTS:
            yield text_of(participant.get("userId"))


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
