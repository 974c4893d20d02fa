"""What a transcript file says of the customer's mood. Pure.

https://developer.genesys.cloud/analyticsdatamanagement/speechtextanalytics/transcript-url
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from worker.clients.genesys.chat_figures import Sentiment, exact

CUSTOMER = "external"
"""`participantPurpose` of the customer's phrases; those of agents and flows are `internal`."""

SCORES = (-1, 0, 1)
"""A phrase's sentiment: another scale than that of the whole conversation, which is a fraction."""


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """Where a transcript is; whoever holds it may fetch it, for a few minutes."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScoredPhrase:
    """A phrase of the customer's that was scored; its words are never read."""

    score: int
    confidence: Decimal | None


def customer_phrases(transcript: Mapping[str, Any]) -> list[ScoredPhrase]:
    """Return the customer's scored phrases of all parts of one transcript file."""
    return [
        phrase for part in objects_in(transcript.get("transcripts")) for phrase in _scored(part)
    ]


def objects_in(value: object) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a list; an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def sentiment_of_phrases(phrases: Iterable[ScoredPhrase]) -> Sentiment | None:
    """Return the shares of positive, neutral and negative phrases; None when there are none.

    The confidence is the mean over the phrases that have one. Shares of equal counts are equal, so
    that ties are seen as such.
    """
    scored = list(phrases)
    if not scored:
        return None
    sure = [phrase.confidence for phrase in scored if phrase.confidence is not None]
    mean = sum(sure, Decimal(0)) / len(sure) if sure else None
    return Sentiment(
        positive=_share(scored, 1),
        neutral=_share(scored, 0),
        negative=_share(scored, -1),
        confidence=None if mean is None else min(max(mean, Decimal(0)), Decimal(1)),
    )


def _share(scored: list[ScoredPhrase], score: int) -> Decimal:
    return Decimal(sum(phrase.score == score for phrase in scored)) / len(scored)


def _scored(part: Mapping[str, Any]) -> Iterator[ScoredPhrase]:
    """Join the scores of one part with its phrases, by index: each phrase counts once."""
    phrases = _by_index(part.get("phrases"))
    analytics = part.get("analytics")
    scores = _by_index(analytics.get("sentiment") if isinstance(analytics, dict) else None)
    for index, score in scores.items():
        phrase = phrases.get(index, {})
        who = score.get("participant") or phrase.get("participantPurpose")
        if who == CUSTOMER and (value := _score(score.get("sentiment"))) is not None:
            yield ScoredPhrase(value, exact(phrase.get("confidence")))


def _score(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in SCORES:
        return None
    return int(value)


def _by_index(value: object) -> dict[int, Mapping[str, Any]]:
    entries = objects_in(value)
    return {index: one for one in entries if isinstance(index := one.get("phraseIndex"), int)}
