"""What the analysis says of a chat: shares of sentiment, each exact and in 0..1. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import isfinite

from worker.errors import Permanent


class Polarity(StrEnum):
    """Which way a conversation went."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentiment:
    """Shares of a conversation, each exact and in 0..1."""

    positive: Decimal
    neutral: Decimal
    negative: Decimal
    confidence: Decimal | None
    """How sure the analysis is; None when it does not say, which is not the same as 0."""

    def polarity(self) -> Polarity:
        """Return the largest share's name; a tie for the largest is neutral."""
        if self.positive > max(self.neutral, self.negative):
            return Polarity.POSITIVE
        if self.negative > max(self.neutral, self.positive):
            return Polarity.NEGATIVE
        return Polarity.NEUTRAL


def sentiment_of(
    *, positive: object, neutral: object, negative: object, confidence: object
) -> Sentiment:
    """Make a Sentiment of numbers as JSON has them; Permanent names the one that is none."""
    return Sentiment(
        positive=_share("positive", positive),
        neutral=_share("neutral", neutral),
        negative=_share("negative", negative),
        confidence=None if confidence is None else _share("confidence", confidence),
    )


def exact(value: object) -> Decimal | None:
    """Return a finite JSON number without a float's binary tail; None for anything else."""
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return Decimal(repr(value))


def _share(name: str, value: object) -> Decimal:
    number = exact(value)
    if number is None:
        raise Permanent(f"sentiment {name}: not a number")
    return min(max(number, Decimal(0)), Decimal(1))
