"""The flat form: every field in `detail` itself, as hand-made rules and schedules send it."""

from typing import Annotated

from pydantic import BaseModel, Field

from tests.oracle.envelope import Envelope
from tests.oracle.fields import FEW, WIRE, Blank, Id, IdIfAny, Instant, Score, Text, read
from tests.oracle.identity import origin, sent_at
from tests.oracle.types import (
    AttributesWanted,
    ChatScored,
    ConversationEnded,
    Origin,
    SpeakerScore,
    VoiceScored,
)


class _Flat(BaseModel):
    """What all flat details share."""

    model_config = WIRE

    conversation_id: Annotated[Id, Field(alias="conversationId")]
    timestamp: Instant | None = None
    media_type: Annotated[Blank | None, Field(alias="mediaType")] = None


class _Caller(BaseModel):
    """Who the conversation is with."""

    model_config = WIRE

    participant_id: Annotated[IdIfAny, Field(alias="participantId")] = None
    phone_number: Annotated[Blank | None, Field(alias="phoneNumber")] = None

    def phone(self) -> str | None:
        return (self.phone_number or "").removeprefix("tel:") or None


class _Speaker(BaseModel):
    model_config = WIRE

    id: Text
    score: Score | None = None


class _Sentiment(BaseModel):
    model_config = WIRE

    overall: Score | None = None
    speaker: Annotated[list[_Speaker], FEW] | None = None

    def speakers(self) -> tuple[SpeakerScore, ...]:
        """Return who has a score: of one who said nothing there is none, and 0 is a mood."""
        return tuple(
            SpeakerScore(id=one.id, score=one.score)
            for one in self.speaker or ()
            if one.score is not None
        )


class _Voice(BaseModel):
    model_config = WIRE

    sentiment: _Sentiment | None = None


def voice_scored(envelope: Envelope) -> VoiceScored:
    """Read a `voice.analytics`."""
    flat = _flat(envelope)
    sentiment = read(_Voice, envelope.detail, "detail").sentiment or _Sentiment()
    return VoiceScored(
        origin=_flat_origin(envelope, flat),
        conversation_id=flat.conversation_id,
        overall=sentiment.overall,
        speakers=sentiment.speakers(),
        phone_number=read(_Caller, envelope.detail, "detail").phone(),
    )


def conversation_ended(envelope: Envelope) -> ConversationEnded:
    """Read a `conversation.end`."""
    flat = _flat(envelope)
    return ConversationEnded(
        origin=_flat_origin(envelope, flat),
        conversation_id=flat.conversation_id,
        media_type=(flat.media_type or "").lower() or None,
    )


def chat_scored(envelope: Envelope) -> ChatScored:
    """Read a `chat.sentiment`: its type says that it is a chat."""
    flat = _flat(envelope)
    return ChatScored(origin=_flat_origin(envelope, flat), conversation_id=flat.conversation_id)


def attributes_wanted(envelope: Envelope) -> AttributesWanted:
    """Read a `conversation.start`."""
    flat = _flat(envelope)
    caller = read(_Caller, envelope.detail, "detail")
    return AttributesWanted(
        origin=_flat_origin(envelope, flat, caller.participant_id),
        conversation_id=flat.conversation_id,
        participant_id=caller.participant_id,
        phone_number=caller.phone(),
    )


def _flat(envelope: Envelope) -> _Flat:
    return read(_Flat, envelope.detail, "detail")


def _flat_origin(envelope: Envelope, flat: _Flat, participant_id: str | None = None) -> Origin:
    occurred_at = flat.timestamp or sent_at(envelope)
    # Times are often whole seconds: two participants of one conversation may share one.
    who = (flat.conversation_id, participant_id) if participant_id else (flat.conversation_id,)
    return origin(envelope, occurred_at, *who, occurred_at.isoformat())
