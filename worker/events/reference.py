"""The flat form: every field in `detail` itself, as hand-made rules and schedules send it."""

from typing import Annotated

from pydantic import BaseModel, Field

from worker.events.envelope import Envelope
from worker.events.fields import FEW, WIRE, Blank, Id, Instant, Score, Text, read
from worker.events.identity import origin, sent_at
from worker.events.types import (
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

    participant_id: Annotated[Id | None, Field(alias="participantId")] = None
    phone_number: Annotated[Blank | None, Field(alias="phoneNumber")] = None

    def phone(self) -> str | None:
        return (self.phone_number or "").removeprefix("tel:") or None


class _Speaker(BaseModel):
    model_config = WIRE

    id: Text
    score: Score


class _Sentiment(BaseModel):
    model_config = WIRE

    overall: Score | None = None
    speaker: Annotated[list[_Speaker], FEW] | None = None

    def speakers(self) -> tuple[SpeakerScore, ...]:
        return tuple(SpeakerScore(id=one.id, score=one.score) for one in self.speaker or ())


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
        origin=_flat_origin(envelope, flat),
        conversation_id=flat.conversation_id,
        participant_id=caller.participant_id,
        phone_number=caller.phone(),
    )


def _flat(envelope: Envelope) -> _Flat:
    return read(_Flat, envelope.detail, "detail")


def _flat_origin(envelope: Envelope, flat: _Flat) -> Origin:
    occurred_at = flat.timestamp or sent_at(envelope)
    return origin(envelope, occurred_at, flat.conversation_id, occurred_at.isoformat())
