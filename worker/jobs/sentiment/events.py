"""The event: a chat or message conversation ended, its sentiment can be asked for."""

from worker.api import (
    Envelope,
    Event,
    FlatFields,
    LegFields,
    decoder,
    event_body,
    flat_detail,
    flat_of,
    flat_origin,
    is_customers,
    leg_of,
    leg_origin,
)


class ChatScored(Event, frozen=True, kw_only=True):
    """A chat or message conversation ended: its sentiment can be asked for."""

    conversation_id: str
    session_id: str | None = None
    """The customer's session that ended, when the event names it; a later one may follow."""

    participant_id: str | None = None
    """The customer's participant, when the event names it."""


_leg = decoder(LegFields)
_flat = decoder(FlatFields)


def from_platform(envelope: Envelope) -> ChatScored | None:
    """Read a `customer.end` of a chat or message conversation; None for any other medium."""
    leg = leg_of(event_body(envelope, _leg))
    if (leg.media_type or "").upper() not in {"CHAT", "MESSAGE"}:
        return None
    is_customers_leg = is_customers(envelope)
    return ChatScored(
        origin=leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        session_id=leg.session_id if is_customers_leg else None,
        participant_id=leg.participant_id if is_customers_leg else None,
    )


def from_reference(envelope: Envelope) -> ChatScored:
    """Read a `chat.sentiment`: its type says that it is a chat."""
    flat = flat_of(flat_detail(envelope, _flat))
    return ChatScored(origin=flat_origin(envelope, flat), conversation_id=flat.conversation_id)
