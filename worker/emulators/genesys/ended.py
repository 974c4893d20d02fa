"""What the emulated analytics comes to know of conversations that ended, and when."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Ended:
    """A conversation in analytics. Times are those of the event loop, in seconds."""

    record: dict[str, Any] = field(repr=False)
    """As it is in the end, `conversationEnd` included."""

    listed_at: float = 0.0
    """Not found before."""

    closed_at: float = 0.0
    """Found without its end before."""

    def at(self, now: float) -> dict[str, Any] | None:
        """Return the record as it is at that time."""
        if now < self.listed_at:
            return None
        if now < self.closed_at:
            return {name: value for name, value in self.record.items() if name != "conversationEnd"}
        return self.record


@dataclass(slots=True)
class Spoken:
    """What speech and text analytics finds in a conversation."""

    score: float | None = None
    """`sentimentScore`, -1..1."""

    transcripts: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Transcript files by the customer's session."""

    metrics: dict[str, float] = field(default_factory=dict)
    """r3's metrics by name."""

    analysed_at: float = 0.0
    """Time of the event loop, in seconds; not found before."""


@dataclass(slots=True)
class Speech:
    """Speech and text analytics, and the signed links it gave out."""

    conversations: dict[str, Spoken] = field(default_factory=dict)
    link_seconds: float = 600
    """Life of a link."""

    links: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict, repr=False)
    """File and end of life, by signature."""


def a_conversation(
    conversation_id: str, session_id: str, *, media_type: str = "voice", start: str, end: str
) -> dict[str, Any]:
    """Return a details record: one customer, one session."""
    segment = {"segmentType": "interact", "segmentStart": start, "segmentEnd": end}
    session = {
        "sessionId": session_id,
        "mediaType": media_type,
        "direction": "inbound",
        "metrics": [{"name": "nConnected", "value": 1, "emitDate": start}],
        "segments": [{**segment, "disconnectType": "endpoint", "conference": False}],
    }
    return {
        "conversationId": conversation_id,
        "conversationStart": start,
        "conversationEnd": end,
        "originatingDirection": "inbound",
        "divisionIds": ["dd000000-0000-4000-8000-000000000001"],
        "participants": [
            {"participantId": session_id, "purpose": "customer", "sessions": [session]}
        ],
    }


def a_transcript(*phrases: tuple[int, float]) -> dict[str, Any]:
    """Return a transcript file of the customer's phrases: sentiment and confidence of each."""
    texts = [
        {
            "text": "some words",
            "decoratedText": "Some words.",
            "participantPurpose": "external",
            "phraseIndex": index,
            "confidence": confidence,
            "words": [],
        }
        for index, (_, confidence) in enumerate(phrases)
    ]
    scores = [
        {"participant": "external", "phrase": "...", "sentiment": score, "phraseIndex": index}
        for index, (score, _) in enumerate(phrases)
    ]
    return {
        "mediaType": "message",
        "transcripts": [{"phrases": texts, "analytics": {"sentiment": scores}}],
    }
