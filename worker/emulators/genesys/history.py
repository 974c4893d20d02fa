"""What the emulated analytics knows: past conversations, by start, made up or listed."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from random import Random
from typing import overload
from uuid import UUID

DAY_MS = 86_400_000
DIVISION = "dd000000-0000-4000-8000-000000000001"
"""Of all conversations."""

_START = attrgetter("start_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One conversation; times in ms."""

    id: str
    start_ms: int
    duration_ms: int | None = 60_000
    """None: still live."""

    talk_ms: int = 40_000
    hold_ms: int = 5_000
    media_type: str = "voice"
    queue_id: str = "9e000000-0000-4000-8000-000000000001"
    user_id: str = "05000000-0000-4000-8000-000000000001"
    direction: str = "inbound"
    wrapup_code: str | None = "ININ-WRAP-UP-TIMEOUT"
    ani: str | None = None
    """Number of the customer of an inbound call, as `tel:` and digits."""

    @property
    def end_ms(self) -> float:
        """End; infinite while live."""
        return float("inf") if self.duration_ms is None else self.start_ms + self.duration_ms


@dataclass(frozen=True, slots=True)
class MadeUp(Sequence[Past]):
    """Any number of conversations, evenly spread and each made when it is read."""

    size: int
    first_ms: int
    step_ms: int
    queues: tuple[str, ...] = ("9e000000-0000-4000-8000-000000000001",)

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Past: ...
    @overload
    def __getitem__(self, index: slice) -> list[Past]: ...
    def __getitem__(self, index: int | slice) -> Past | list[Past]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self._made(index)

    def _made(self, index: int) -> Past:
        random = Random(index)  # noqa: S311  the same conversation each time it is read
        duration = int(random.lognormvariate(12.2, 0.7)) + 1
        talk = int(duration * random.uniform(0.4, 0.8))
        return Past(
            id=str(UUID(int=0xC0FFEE << 104 | index, version=4)),
            start_ms=self.first_ms + index * self.step_ms,
            duration_ms=duration,
            talk_ms=talk,
            hold_ms=int((duration - talk) * random.random() * 0.5),
            media_type=random.choices(("voice", "message", "callback"), (6, 3, 1))[0],
            queue_id=self.queues[int(random.random() ** 2 * len(self.queues))],
            wrapup_code=f"3a000000-0000-4000-8000-{random.randrange(12):012}",
        )


@dataclass(slots=True)
class History:
    """The conversations of a `GenesysCloud`, and what may be wrong with them."""

    conversations: Sequence[Past] = ()
    """Sorted by start."""

    spoil: Callable[[int, list[Past]], list[Past]] | None = None
    """Called with the number and the conversations of each page; what it returns is sent."""

    is_too_large: Callable[[int, int], bool] = lambda _start, _end: False
    """Says which intervals (ms) are answered with `too_large_status`."""

    too_large_status: int = 500

    most_results: int = 100_000
    available_until: datetime = datetime(2100, 1, 1, tzinfo=UTC)
    """How far the data lake, which jobs read, is."""

    jobs: dict[str, list[int]] = field(default_factory=dict)
    """Jobs submitted, with the places of what they found."""

    polled: set[str] = field(default_factory=set)
    """Jobs whose state was asked for: a first look finds a job queued."""

    def between(self, start_ms: int, end_ms: int, *, by_activity: bool = False) -> Sequence[int]:
        """Return the places of the conversations an interval matches.

        They are those with activity in it, and, but for jobs, only those that started on a UTC day
        it touches.
        """
        earliest = 0 if by_activity else start_ms - start_ms % DAY_MS
        first, begun, last = (
            bisect_left(self.conversations, moment, key=_START)
            for moment in (earliest, start_ms, end_ms)
        )
        head = [i for i in range(first, begun) if self.conversations[i].end_ms > start_ms]
        return [*head, *range(begun, last)] if head else range(begun, last)

    def at(self, places: Sequence[int]) -> list[Past]:
        """Return the conversations at some places."""
        return [self.conversations[place] for place in places]


def as_platform(past: Past) -> Mapping[str, object]:
    """Return a conversation as a details reply holds it."""
    start, end = _iso(past.start_ms), _iso(past.start_ms + (past.duration_ms or 0))
    agent = {
        "sessionId": past.id,
        "mediaType": past.media_type,
        "direction": past.direction,
        "metrics": list(_metrics(past, end)),
        "segments": list(_segments(past, start, end)),
    }
    customer = {"sessionId": past.id, "mediaType": past.media_type, "metrics": [], "segments": []}
    if past.ani is not None:
        customer |= {"direction": past.direction, "ani": past.ani}
    return {
        "conversationId": past.id,
        "conversationStart": start,
        **({} if past.duration_ms is None else {"conversationEnd": end}),
        "originatingDirection": past.direction,
        "divisionIds": [DIVISION],
        "participants": [
            {"participantId": past.id, "purpose": "customer", "sessions": [customer]},
            {
                "participantId": past.id,
                "purpose": "agent",
                "userId": past.user_id,
                "sessions": [agent],
            },
        ],
    }


def as_reference(past: Past) -> Mapping[str, object]:
    """Return a conversation as r4's report query lists it; a live one lacks its duration."""
    metrics: dict[str, object] = {
        "agent.talk.seconds": past.talk_ms / 1000,
        "agent.hold.seconds": past.hold_ms / 1000,
        "wrapup.code": past.wrapup_code,
    }
    if past.duration_ms is not None:
        metrics["conversation.duration.seconds"] = past.duration_ms / 1000
    return {
        "timestamp": _iso(past.start_ms),
        "conversation.media.type": past.media_type,
        "routing.queue.id": past.queue_id,
        "metrics": metrics,
    }


def _metrics(past: Past, end: str) -> Iterator[Mapping[str, object]]:
    yield {"name": "tTalk", "value": past.talk_ms, "emitDate": end}
    if past.hold_ms:
        yield {"name": "tHeld", "value": past.hold_ms, "emitDate": end}
    yield {"name": "tHandle", "value": past.talk_ms + past.hold_ms, "emitDate": end}


def _segments(past: Past, start: str, end: str) -> Iterator[Mapping[str, object]]:
    span = {"segmentStart": start, "segmentEnd": end, "queueId": past.queue_id}
    yield {"segmentType": "interact", **span}
    if past.wrapup_code is not None:
        yield {"segmentType": "wrapup", **span, "wrapUpCode": past.wrapup_code}


def _iso(ms: int) -> str:
    whole = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"
