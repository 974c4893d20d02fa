"""Joins what was sent with effects, deletes and dead letters. Pure: history in, violations out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from tests.chaos.effects import Effect
from tests.chaos.findings import Violation
from worker.demo import Planned

OWED = {
    "voice sentiment": "records",
    "conversation start": "attributes",
    "conversation end": "executions",
    "chat end": "executions",
}
"""The sink in which every message of a kind must have left something."""

SINKS_OF = {
    "voice": ("records",),
    "attributes": ("attributes", "analytics webhook"),
    "workflow": ("executions",),
    "sentiment": (
        "attributes",
        "bus ChatSentimentAnalysis",
        "bus ChatSentimentEscalation",
        "crm webhook",
        "alert webhook",
    ),
    "reports": ("objects",),
}
"""What a job leaves where. On a queue of its own a message answers for these alone: the same event
is another message on another job's queue."""

ONE_KEY = (
    "executions",
    "bus ChatSentimentAnalysis",
    "bus ChatSentimentEscalation",
    "crm webhook",
    "alert webhook",
    "analytics webhook",
)
"""Sinks where all effects of a conversation go by one key, however often they come."""

EXACT = ("records",)
"""Sinks that let us write once only: a second success would be an overwrite."""

BEST_EFFORT = ("analytics webhook",)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that is known of a run, of messages by id."""

    sent: Mapping[str, Planned]
    deleted_at: Mapping[str, float]
    """First accepted delete."""

    effects: Sequence[Effect]
    dead_lettered: Sequence[str]
    """Ids of the messages that dead letters are copies of, one per dead letter."""

    left: Sequence[str] = ()
    """Still on the queue."""


def check(history: History) -> list[Violation]:
    """Return what is not as promised; the same for every scenario."""
    found = [
        ("not settled", history.left),
        ("vanished", _vanished(history)),
        ("dead-lettered though healthy", _dead_lettered(history, "done")),
        ("deleted without being dead-lettered", _missing_dead_letters(history)),
        ("deleted without its effect", _without_effect(history)),
        ("deleted before its effects", _early(history)),
        ("effect twice at a sink with keys", _twice(history)),
        ("another key at a repeat", _other_keys(history)),
    ]
    return [
        Violation(promise, tuple(sorted(ids)), f"({len(ids)})")
        for promise, ids in ((promise, set(ids)) for promise, ids in found)
        if ids
    ]


def dead_lettered_twice(history: History) -> list[str]:
    """Return what has several dead letters: allowed after a kill between copy and delete."""
    return [key for key, times in Counter(history.dead_lettered).items() if times > 1]


def _vanished(history: History) -> set[str]:
    there = {*history.deleted_at, *history.left, *history.dead_lettered}
    return set(history.sent) - there


def _dead_lettered(history: History, disposition: str) -> set[str]:
    return {key for key in history.dead_lettered if history.sent[key].disposition == disposition}


def _missing_dead_letters(history: History) -> set[str]:
    due = {key for key, planned in history.sent.items() if planned.disposition == "dead-lettered"}
    return (due & set(history.deleted_at)) - set(history.dead_lettered)


def _without_effect(history: History) -> Iterator[str]:
    done = {(effect.sink, effect.conversation_id) for effect in history.effects}
    for key, planned in history.sent.items():
        owed = planned.disposition == "done" and OWED.get(planned.kind)
        if not owed or not _answers_for(planned, owed):
            continue
        if key in history.deleted_at and (owed, conversation_of(planned)) not in done:
            yield key


def _early(history: History) -> Iterator[str]:
    """Compare a message's delete with the first effect of each kind for its conversation."""
    first: dict[str, dict[str, float]] = defaultdict(dict)
    for effect in history.effects:
        if effect.conversation_id and effect.sink not in BEST_EFFORT:
            first[effect.conversation_id].setdefault(effect.sink, effect.time)
    for key, deleted_at in history.deleted_at.items():
        planned = history.sent.get(key)
        if planned is None or planned.kind not in OWED or planned.disposition != "done":
            continue
        at = first[conversation_of(planned)]
        if any(at[sink] > deleted_at for sink in at if _answers_for(planned, sink)):
            yield key


def _answers_for(planned: Planned, sink: str) -> bool:
    return planned.queue_of is None or sink in SINKS_OF[planned.queue_of]


def _twice(history: History) -> Iterator[str]:
    counts = Counter(effect[1:] for effect in history.effects if effect.sink in EXACT)
    for (_, conversation_id, key), times in counts.items():
        if times > 1:
            yield f"{conversation_id}|{key}"


def _other_keys(history: History) -> Iterator[str]:
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for effect in history.effects:
        if effect.conversation_id and effect.sink in ONE_KEY:
            keys[effect.sink, effect.conversation_id].add(effect.key)
    for (sink, conversation_id), found in keys.items():
        if len(found) > 1:
            yield f"{sink}: {conversation_id}"


def conversation_of(planned: Planned) -> str:
    """Return the conversation of a readable event."""
    detail = orjson.loads(planned.body)["detail"]
    found: str = (detail.get("eventBody") or detail)["conversationId"]
    return found
