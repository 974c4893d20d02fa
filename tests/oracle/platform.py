"""The form Genesys Cloud sends: `detail` with an `eventBody`, one model per topic.

https://developer.genesys.cloud/notificationsalerts/notifications/available-topics
"""

import re
from typing import Annotated

from pydantic import BaseModel, Field

from tests.oracle.envelope import Envelope
from tests.oracle.fields import FEW, WIRE, Blank, Id, IdIfAny, Instant, Score, read
from tests.oracle.identity import timed
from tests.oracle.types import (
    AttributesWanted,
    ChatScored,
    ConversationEnded,
    Origin,
    VoiceScored,
)

_BODY = "detail.eventBody"


class _Emitted(BaseModel):
    """`detail` around the body: when Genesys emitted it."""

    model_config = WIRE

    timestamp: Instant | None = None


class _Leg(BaseModel):
    """What all `v2.detail.events.conversation.{id}.…` bodies share."""

    model_config = WIRE

    conversation_id: Annotated[Id, Field(alias="conversationId")]
    event_time: Annotated[Instant | None, Field(alias="eventTime")] = None
    session_id: Annotated[Blank | None, Field(alias="sessionId")] = None
    participant_id: Annotated[IdIfAny, Field(alias="participantId")] = None
    media_type: Annotated[Blank | None, Field(alias="mediaType")] = None


class _Addresses(BaseModel):
    """Who called or wrote to whom."""

    model_config = WIRE

    direction: Blank | None = None
    ani: Blank | None = None
    dnis: Blank | None = None
    # Of any length: an email may be to many. What is no phone number goes nowhere.
    address_from: Annotated[str | None, Field(alias="addressFrom")] = None
    address_to: Annotated[str | None, Field(alias="addressTo")] = None
    message_type: Annotated[Blank | None, Field(alias="messageType")] = None
    callbacks: Annotated[list[str | None] | None, FEW, Field(alias="callbackNumbers")] = None

    def customer(self) -> str | None:
        """Return who is called back, else the customer's side; `tel:` stripped."""
        if called_back := [number for number in self.callbacks or () if number]:
            return called_back[0].removeprefix("tel:") or None
        sides = {
            "INBOUND": self.ani or self.address_from,
            "OUTBOUND": self.dnis or self.address_to,
        }
        address = sides.get((self.direction or "").upper()) or ""
        if (self.message_type or "").upper() == "WHATSAPP":
            address = re.sub(r"\A([1-9][0-9]{6,14})\Z", r"+\1", address, flags=re.ASCII)
        return address.removeprefix("tel:") or None


class _Sentiment(BaseModel):
    """`v2.speechandtextanalytics.conversation.{id}.sentiment`; it has no time of its own."""

    model_config = WIRE

    conversation_id: Annotated[Id, Field(alias="conversationId")]
    overall: Annotated[Score | None, Field(alias="sentimentOverallScore")] = None


class _Scored(BaseModel):
    """`detail` with a sentiment; the body comes first, so that its faults are reported first."""

    model_config = WIRE

    body: Annotated[_Sentiment, Field(alias="eventBody")]
    timestamp: Instant | None = None


def voice_scored(envelope: Envelope) -> VoiceScored:
    """Read a sentiment event."""
    scored = read(_Scored, envelope.detail, "detail")
    body = scored.body
    return VoiceScored(
        origin=timed(envelope, scored.timestamp, body.conversation_id),
        conversation_id=body.conversation_id,
        overall=body.overall,
    )


def conversation_ended(envelope: Envelope) -> ConversationEnded:
    """Read a `customer.end`."""
    leg = _leg(envelope)
    return ConversationEnded(
        origin=_leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        media_type=(leg.media_type or "").lower() or None,
    )


def chat_scored(envelope: Envelope) -> ChatScored | None:
    """Read a `customer.end` of a chat or message conversation; None for any other medium."""
    leg = _leg(envelope)
    if (leg.media_type or "").upper() not in {"CHAT", "MESSAGE"}:
        return None
    return ChatScored(
        origin=_leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        session_id=(leg.session_id or None) if _is_customers(envelope) else None,
        participant_id=leg.participant_id if _is_customers(envelope) else None,
    )


def attributes_wanted(envelope: Envelope) -> AttributesWanted:
    """Read a `customer.start`, or another leg that the settings take for one."""
    leg = _leg(envelope)
    return AttributesWanted(
        origin=_leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        participant_id=leg.participant_id if _is_customers(envelope) else None,
        phone_number=read(_Addresses, envelope.detail["eventBody"], _BODY).customer(),
    )


def _is_customers(envelope: Envelope) -> bool:
    """Return whether participant and session are the customer's, or the queue's or an agent's.

    GENESYS sheet 8.2; the settings may name any leg.
    """
    return ".customer." in envelope.detail_type


def _leg(envelope: Envelope) -> _Leg:
    return read(_Leg, envelope.detail["eventBody"], _BODY)


def _leg_origin(envelope: Envelope, leg: _Leg) -> Origin:
    session = leg.session_id or leg.participant_id or ""
    own = leg.event_time or read(_Emitted, envelope.detail, "detail").timestamp
    return timed(envelope, own, leg.conversation_id, session)
