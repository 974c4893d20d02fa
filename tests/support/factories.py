"""Valid events and message bodies; what a test is about is what it overrides."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

import orjson
from msgspec.structs import replace

from worker.clients.genesys.filters import Condition
from worker.events.origin import Event, Origin
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.reports.events import ReportDue
from worker.jobs.sentiment.events import ChatScored
from worker.jobs.voice.events import SpeakerScore, VoiceScored
from worker.jobs.workflow.events import ConversationEnded

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PHONE = "+15550100001"

PLATFORM_TYPES = {
    VoiceScored: "v2.speechandtextanalytics.conversation.{id}.sentiment",
    ConversationEnded: "v2.detail.events.conversation.{id}.customer.end",
    ChatScored: "v2.detail.events.conversation.{id}.customer.end",
    AttributesWanted: "v2.detail.events.conversation.{id}.customer.start",
}
REFERENCE_TYPES = {
    VoiceScored: "voice.analytics",
    ConversationEnded: "conversation.end",
    ChatScored: "chat.sentiment",
    AttributesWanted: "conversation.start",
    ReportDue: "report.due",
}
_seconds = count()


def an_id() -> str:
    return str(uuid4())


def an_origin(**over: Any) -> Origin:
    """Each a second later than the one before, with its own ids."""
    fields: dict[str, Any] = {
        "event_id": an_id(),
        "detail_type": "voice.analytics",
        "identity": an_id(),
        "occurred_at": NOON + timedelta(seconds=next(_seconds)),
    }
    return Origin(**fields | over)


def a_voice_scored(**over: Any) -> VoiceScored:
    fields: dict[str, Any] = {
        "origin": an_origin(),
        "conversation_id": an_id(),
        "overall": Decimal("0.35"),
        "speakers": (
            SpeakerScore(id="agent", score=Decimal("0.6")),
            SpeakerScore(id="customer", score=Decimal("-0.1")),
        ),
        "phone_number": PHONE,
    }
    return VoiceScored(**fields | over)


def a_conversation_ended(**over: Any) -> ConversationEnded:
    fields: dict[str, Any] = {
        "origin": an_origin(detail_type="conversation.end"),
        "conversation_id": an_id(),
        "media_type": "voice",
    }
    return ConversationEnded(**fields | over)


def an_attributes_wanted(**over: Any) -> AttributesWanted:
    fields: dict[str, Any] = {
        "origin": an_origin(detail_type="conversation.start"),
        "conversation_id": an_id(),
        "participant_id": an_id(),
        "phone_number": PHONE,
    }
    return AttributesWanted(**fields | over)


def a_chat_scored(**over: Any) -> ChatScored:
    fields: dict[str, Any] = {
        "origin": an_origin(detail_type="chat.sentiment"),
        "conversation_id": an_id(),
    }
    return ChatScored(**fields | over)


def a_report_due(**over: Any) -> ReportDue:
    fields: dict[str, Any] = {
        "origin": an_origin(detail_type="report.due"),
        "name": "daily-voice",
        "start": NOON - timedelta(days=1),
        "end": NOON,
        "media_type": "voice",
        "queue_ids": (an_id(),),
        "filters": (Condition("direction", ("inbound",)),),
    }
    return ReportDue(**fields | over)


def a_body(detail_type: str, detail: Any, **over: Any) -> bytes:
    """A classic EventBridge event as it stands in an SQS message; None takes a field away."""
    envelope = {
        "version": "0",
        "id": an_id(),
        "detail-type": detail_type,
        "source": "genesys.cloud",
        "account": "111122223333",
        "time": "2026-03-02T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }
    fields = envelope | {name.replace("_", "-"): value for name, value in over.items()}
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


def a_leg_body(
    detail_type: str, *, timestamp: str = "2026-03-02T12:00:01.500Z", **fields: Any
) -> bytes:
    """A `customer.start` or `.end` of 12:00 UTC, inbound, field by field; None takes one away."""
    body = {"conversationId": an_id(), "eventTime": 1772452800000, "direction": "INBOUND"} | fields
    body = {name: value for name, value in body.items() if value is not None}
    return a_body(detail_type, {"eventBody": body, "timestamp": timestamp})


def a_reference_body(event: Event, **over: Any) -> bytes:
    """The flat form of an event; its detail-type is the reference one."""
    envelope = {"id": event.origin.event_id, "time": event.origin.occurred_at.isoformat()}
    return a_body(REFERENCE_TYPES[type(event)], reference_detail(event), **envelope | over)


def a_platform_body(event: Event, **over: Any) -> bytes:
    """An event as Genesys Cloud sends it."""
    envelope = {"id": event.origin.event_id}
    return a_body(PLATFORM_TYPES[type(event)], platform_detail(event), **envelope | over)


def reference_detail(event: Event) -> dict[str, Any]:
    if isinstance(event, ReportDue):
        return _report_detail(event)
    detail: dict[str, Any] = {
        "conversationId": event.conversation_id,
        "timestamp": event.origin.occurred_at.isoformat(),
    }
    if isinstance(event, VoiceScored):
        speakers = [{"id": one.id, "score": float(one.score)} for one in event.speakers]
        sentiment = {"overall": _number(event.overall), "speaker": speakers}
        detail |= {"sentiment": sentiment, "phoneNumber": event.phone_number}
    if isinstance(event, AttributesWanted):
        detail |= {"participantId": event.participant_id, "phoneNumber": event.phone_number}
    if isinstance(event, ConversationEnded):
        detail["mediaType"] = event.media_type
    return detail


def platform_detail(event: Event) -> dict[str, Any]:
    """Whole milliseconds only, as `eventTime` has no more."""
    assert not isinstance(event, ReportDue)
    body: dict[str, Any] = {"conversationId": event.conversation_id}
    if isinstance(event, VoiceScored):
        body["sentimentOverallScore"] = _number(event.overall)
    else:
        body |= {
            "eventTime": round(event.origin.occurred_at.timestamp() * 1000),
            "participantId": getattr(event, "participant_id", None) or an_id(),
            "sessionId": an_id(),
            "mediaType": (getattr(event, "media_type", None) or "message").upper(),
            "direction": "INBOUND",
        }
    if isinstance(event, AttributesWanted) and event.phone_number:
        body["ani"] = f"tel:{event.phone_number}"
    topic = PLATFORM_TYPES[type(event)].replace("{id}", event.conversation_id)
    return {
        "topicName": topic,
        "version": "2",
        "eventBody": body,
        "metadata": {"CorrelationId": event.origin.correlation_id or an_id()},
        "timestamp": event.origin.occurred_at.isoformat(),
    }


def without_origin(event: Event) -> Event:
    """For comparing two events in all but where they came from."""
    origin = an_origin(event_id="-", detail_type="-", identity="-", occurred_at=NOON)
    return replace(event, origin=origin)


def _report_detail(event: ReportDue) -> dict[str, Any]:
    return {
        "name": event.name,
        "interval": f"{event.start.isoformat()}/{event.end.isoformat()}",
        "mediaType": event.media_type,
        "queueIds": list(event.queue_ids),
        "filters": [
            {"dimension": one.name, "operator": one.operator, "value": list(one.values)}
            for one in event.filters
        ],
        "groupBy": list(event.group_by),
    }


def _number(score: Decimal | None) -> float | None:
    return None if score is None else float(score)


class OneForAll(dict):
    """The same guard for every upstream of Genesys, where a test is about none of them."""

    def __init__(self, guard):
        super().__init__()
        self.guard = guard

    def __missing__(self, upstream):
        return self.guard
