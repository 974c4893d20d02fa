"""Events as they stand in an SQS message, in both forms."""

from collections.abc import Mapping
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import orjson

SOURCE = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/demo"


def an_id(random: Random) -> str:
    """Return a UUID of that randomness."""
    return str(UUID(int=random.getrandbits(128), version=4))


def iso(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds, as Genesys writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(detail_type: str, detail: Mapping[str, Any], *, at: datetime, event_id: str) -> str:
    """Return a whole EventBridge event."""
    return orjson.dumps(
        {
            "version": "0",
            "id": event_id,
            "detail-type": detail_type,
            "source": SOURCE,
            "account": "111122223333",
            "time": iso(at),
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }
    ).decode()


def platform(
    topic: str,
    body: Mapping[str, Any],
    *,
    at: datetime,
    event_id: str,
    subject: str | None = None,
) -> str:
    """Return an event as Genesys Cloud sends it; `topic` holds a literal `{id}`.

    `subject`: the id in place of it; None: the body's `conversationId`.
    """
    detail = {
        "topicName": topic.replace("{id}", subject or str(body["conversationId"])),
        "version": "2",
        "eventBody": body,
        "metadata": {"CorrelationId": f"demo-{event_id[:8]}"},
        "timestamp": iso(at),
    }
    return envelope(topic, detail, at=at, event_id=event_id)


def leg(conversation_id: str, participant_id: str, at: datetime, **more: Any) -> dict[str, Any]:
    """Return the `eventBody` of a detail event of one leg, its session named after it."""
    return {
        "eventTime": int(at.timestamp() * 1000),
        "conversationId": conversation_id,
        "participantId": participant_id,
        "sessionId": participant_id,
        "provider": "Edge",
        "direction": "INBOUND",
        **more,
    }
