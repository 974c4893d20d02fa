"""The sentiment of a chat: whether it is forwarded, and in which words. Pure.

Decisions are made on exact numbers, clamped to 0..1; rounding is for the wire only. So a share of
0.80004 is above a threshold of 0.8, though both are written 0.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID, uuid5

from worker.api import Permanent, Sentiment, utc_text
from worker.jobs.sentiment.events import ChatScored

NAMESPACE = UUID("5f0b7a5e-6c1d-5b0e-9f57-0d6a3c3d8f42")
"""Of all ids made here. Never to be changed: sinks know a repeat by its id."""

FORWARDING_ID, STATUS, UPDATED_AT = "sentimentForwardingId", "forwardingStatus", "updatedAt"
"""Attributes of a conversation that was forwarded."""

_FOUR_DECIMALS = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentimentRules:
    """When a sentiment is forwarded and when an alert is raised."""

    min_confidence: Decimal = Decimal("0.75")
    escalation_threshold: Decimal = Decimal("0.8")

    def admit(self, sentiment: Sentiment) -> bool:
        """Return whether the confidence is known and high enough."""
        return sentiment.confidence is not None and sentiment.confidence >= self.min_confidence

    def escalate(self, sentiment: Sentiment) -> bool:
        """Return whether the negative share is above the threshold."""
        return sentiment.negative > self.escalation_threshold


def _matrix(sentiment: Sentiment) -> dict[str, Any]:
    if sentiment.confidence is None:
        raise Permanent("confidence: missing")
    return {
        "polarity": sentiment.polarity().value,
        "confidence": rounded(sentiment.confidence),
        "positive": rounded(sentiment.positive),
        "neutral": rounded(sentiment.neutral),
        "negative": rounded(sentiment.negative),
    }


def payload_of(event: ChatScored, sentiment: Sentiment, rules: SentimentRules) -> dict[str, Any]:
    """Return what is forwarded, as `schemas/chat_sentiment.json` has it; the same every time.

    Raises Permanent for a sentiment without confidence: such a one is never forwarded.
    """
    return {
        "conversationId": event.conversation_id,
        "sentimentMatrix": _matrix(sentiment),
        "escalationThreshold": float(rules.escalation_threshold),
        "forwardingId": forwarding_id(event),
        "timestamp": utc_text(event.origin.occurred_at),
    }


def status_attributes(event: ChatScored) -> dict[str, str]:
    """Return the attributes of the conversation itself."""
    return {
        FORWARDING_ID: forwarding_id(event),
        STATUS: "queued",
        UPDATED_AT: utc_text(event.origin.occurred_at),
    }


def crm_note(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the CRM webhook."""
    return {
        "event": "sentiment.forwarded",
        "data": dict(payload),
        "syncTimestamp": payload["timestamp"],
    }


def alert_note(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the alert webhook."""
    return {"event": "sentiment.escalated", "data": dict(payload)}


def forwarding_id(event: ChatScored) -> str:
    """Return the id of the forwarding: derived, so that a repeat has the same."""
    return str(uuid5(NAMESPACE, event.origin.dedupe_key))


def derived_id(event: ChatScored, what: str) -> str:
    """Return the id of another effect of the same event: its audit entry, its alert."""
    return str(uuid5(NAMESPACE, f"{what}|{event.origin.dedupe_key}"))


def rounded(share: Decimal) -> float:
    """Round to four decimals, halves up.

    Not `round`: it takes halves to the even neighbour, or wherever a float's binary tail leans.
    """
    return float(share.quantize(_FOUR_DECIMALS, rounding=ROUND_HALF_UP))
