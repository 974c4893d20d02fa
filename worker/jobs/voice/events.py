"""The event: the sentiment of a voice conversation is known."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import UNSET

from worker.api import (
    Envelope,
    Event,
    FlatFields,
    LegFields,
    Permanent,
    Record,
    Wire,
    decoder,
    emitted_at,
    event_body,
    flat_detail,
    flat_of,
    flat_origin,
    instant,
    is_customers,
    leg_of,
    leg_origin,
    read_by,
    read_id,
    read_list,
    read_number,
    read_object,
    read_text,
    read_text_if_any,
    timed,
    without_tel,
)

ENDS = (".customer.end", ".acw")
"""End the types of events after which a score is asked for: they bring none."""


class SpeakerScore(Record, frozen=True, kw_only=True):
    """Sentiment of one speaker."""

    id: str
    score: Decimal


class VoiceScored(Event, frozen=True, kw_only=True):
    """The sentiment of a voice conversation is known."""

    unshown = frozenset({"phone_number"})

    conversation_id: str
    overall: Decimal | None = None
    """-1 to 1; None when the event carries no score: 0 would be a legal neutral one."""

    speakers: tuple[SpeakerScore, ...] = ()
    phone_number: str | None = None
    """As the event gives it, `tel:` stripped; out of `repr`, so out of tracebacks."""

    is_call: bool = True
    """False when the event does not say: the platform scores messages and e-mails, too."""

    is_scored: bool = True
    """False for a call that ended: its score has to be asked for."""

    backfilled_at: datetime | None = None
    """When a backfill asked for the score, the event having had no effect; None of all others."""


class _Scored(Wire):
    """`v2.speechandtextanalytics.conversation.{id}.sentiment`; it has no time of its own."""

    conversation_id: Any = UNSET
    sentiment_overall_score: Any = None


class _Ended(LegFields):
    """`customer.end` or `acw`."""

    ani: Any = None
    dnis: Any = None
    direction: Any = None


class _Flat(FlatFields):
    phone_number: Any = None
    sentiment: Any = None
    backfilled_at: Any = None


_MOST = Decimal(1)

_scored = decoder(_Scored)
_ended = decoder(_Ended)
_flat = decoder(_Flat)


def from_platform(envelope: Envelope) -> VoiceScored | None:
    """Read a sentiment event of Genesys Cloud, or the end of a call; None of another medium."""
    if envelope.detail_type.endswith(ENDS):
        return _of_end(envelope)
    body = event_body(envelope, _scored)
    conversation_id = read_id(body.conversation_id, "detail.eventBody.conversationId")
    overall = _score(body.sentiment_overall_score, "detail.eventBody.sentimentOverallScore")
    return VoiceScored(
        origin=timed(envelope, emitted_at(envelope), conversation_id),
        conversation_id=conversation_id,
        overall=overall,
        is_call=False,
    )


def _of_end(envelope: Envelope) -> VoiceScored | None:
    fields = event_body(envelope, _ended)
    leg = leg_of(fields)
    if (leg.media_type or "").upper() != "VOICE":
        return None
    # The customer's side of the call; of an agent's leg, `ani` may be the agent's.
    outbound = str(fields.direction).upper() == "OUTBOUND"
    number = (fields.dnis if outbound else fields.ani) if is_customers(envelope) else None
    return VoiceScored(
        origin=leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        phone_number=without_tel(read_text_if_any(number)),
        is_scored=False,
    )


def from_reference(envelope: Envelope) -> VoiceScored:
    """Read a `voice.analytics`."""
    fields = flat_detail(envelope, _flat)
    flat = flat_of(fields)
    sentiment = read_object(fields.sentiment, "detail.sentiment") or {}
    overall = _score(sentiment.get("overall"), "detail.sentiment.overall")
    speakers = read_list(sentiment.get("speaker"), "detail.sentiment.speaker", _speaker) or ()
    return VoiceScored(
        origin=flat_origin(envelope, flat),
        conversation_id=flat.conversation_id,
        overall=overall,
        # Of a speaker who said nothing there is no score, and 0 is a mood.
        speakers=tuple(speaker for speaker in speakers if speaker is not None),
        phone_number=without_tel(read_text_if_any(fields.phone_number)),
        backfilled_at=read_by(instant, fields.backfilled_at, "detail.backfilledAt"),
    )


def _speaker(entry: object, at: str) -> SpeakerScore | None:
    if not isinstance(entry, dict):
        raise Permanent(f"{at}: not an object")
    who = entry.get("id", UNSET)
    speaker = read_text_if_any(who) or read_text(who, f"{at}.id")
    score = _score(entry.get("score"), f"{at}.score")
    return None if score is None else SpeakerScore(id=speaker, score=score)


def _score(value: object, at: str) -> Decimal | None:
    """Read a sentiment; the scale of the user interface, -100 to 100, would be misread."""
    score = read_number(value, at)
    if score is not None and score.copy_abs() > _MOST:
        raise Permanent(f"{at}: not within -1..1")
    return score
