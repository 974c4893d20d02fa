"""The event: the customer's side of a conversation is over."""

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
    leg_of,
    leg_origin,
)


class ConversationEnded(Event, frozen=True, kw_only=True):
    """The customer's side of a conversation is over."""

    conversation_id: str
    media_type: str | None = None
    """Lower case, e.g. `voice`, `message`."""


_leg = decoder(LegFields)
_flat = decoder(FlatFields)


def from_platform(envelope: Envelope) -> ConversationEnded:
    """Read a `customer.end`."""
    leg = leg_of(event_body(envelope, _leg))
    return ConversationEnded(
        origin=leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        media_type=leg.media_type and leg.media_type.lower(),
    )


def from_reference(envelope: Envelope) -> ConversationEnded:
    """Read a `conversation.end`."""
    flat = flat_of(flat_detail(envelope, _flat))
    return ConversationEnded(
        origin=flat_origin(envelope, flat),
        conversation_id=flat.conversation_id,
        media_type=flat.media_type and flat.media_type.lower(),
    )
