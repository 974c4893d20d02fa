"""What one injection is called and reports; ids, times and bodies are equal on a repeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import orjson

from worker.api import utc_text
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.attributes.inspector import Rules

ENRICHED = "conversation.attributes.enriched"

_NAMESPACE = UUID("5a2f3b0e-5f0c-5b57-9f0e-0c7d5b9b6a11")
"""Ours; a change of it would make receivers take repeats for news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which flow, which limits, how long."""

    flow_id: str
    max_age_seconds: float
    """Age of an event from which a failure is no longer retried."""

    rules: Rules

    def outlived(self, event: AttributesWanted, now: datetime) -> bool:
        """Tell whether the conversation is too old for its attributes to matter."""
        return (now - event.origin.occurred_at).total_seconds() > self.max_age_seconds


def trace_id(event: AttributesWanted) -> str:
    """Return the id of this injection: the same for every copy of the event."""
    return str(uuid5(_NAMESPACE, event.origin.dedupe_key))


def enriched(event: AttributesWanted, attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return the body for the analytics webhook."""
    return {
        "eventType": ENRICHED,
        "conversationId": event.conversation_id,
        "attributes": dict(attributes),
        "traceId": trace_id(event),
        "timestamp": utc_text(event.origin.occurred_at),
    }


def payload_sha256(attributes: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, of the attributes as JSON with sorted keys."""
    return sha256(orjson.dumps(dict(attributes), option=orjson.OPT_SORT_KEYS)).hexdigest()
