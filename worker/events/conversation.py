"""What the events of a conversation share, in the platform form and in the flat one.

https://developer.genesys.cloud/notificationsalerts/notifications/available-topics
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from msgspec import UNSET, Raw, Struct

from worker.events.envelope import Envelope, parse
from worker.events.fields import (
    Wire,
    read_id,
    read_id_if_any,
    read_text_if_any,
    read_time_if_any,
)
from worker.events.origin import Origin, iso, origin, sent_at, timed

T = TypeVar("T")


class LegFields(Wire):
    """What all `v2.detail.events.conversation.{id}.…` bodies share, unchecked."""

    conversation_id: Any = UNSET
    event_time: Any = None
    session_id: Any = None
    participant_id: Any = None
    media_type: Any = None


class FlatFields(Wire):
    """What all flat details share, unchecked."""

    conversation_id: Any = UNSET
    timestamp: Any = None
    media_type: Any = None


class Leg(Struct, frozen=True, gc=False):
    """One leg of a conversation, checked: None for what is absent or odd."""

    conversation_id: str
    event_time: datetime | None
    session_id: str | None
    participant_id: str | None
    media_type: str | None


class Flat(Struct, frozen=True, gc=False):
    """A flat detail, checked: None for what is absent or odd."""

    conversation_id: str
    timestamp: datetime | None
    media_type: str | None


def event_body(envelope: Envelope, decode: Callable[[Raw | str], T]) -> T:
    """Parse the body of an event in platform form."""
    assert envelope.body is not None  # noqa: S101  the form decides who reads
    return parse(decode, envelope.body, "detail.eventBody", null="not an object")


def flat_detail(envelope: Envelope, decode: Callable[[Raw | str], T]) -> T:
    """Parse the detail of an event in flat form."""
    return parse(decode, envelope.detail(), "detail")


def leg_of(fields: LegFields) -> Leg:
    """Check a leg."""
    return Leg(
        read_id(fields.conversation_id, "detail.eventBody.conversationId"),
        read_time_if_any(fields.event_time),
        read_text_if_any(fields.session_id),
        read_id_if_any(fields.participant_id),
        read_text_if_any(fields.media_type),
    )


def flat_of(fields: FlatFields) -> Flat:
    """Check a flat detail."""
    return Flat(
        read_id(fields.conversation_id, "detail.conversationId"),
        read_time_if_any(fields.timestamp),
        read_text_if_any(fields.media_type),
    )


def emitted_at(envelope: Envelope) -> datetime | None:
    """Return when Genesys emitted the event."""
    return read_time_if_any(envelope.timestamp)


def leg_origin(envelope: Envelope, leg: Leg) -> Origin:
    """Make the origin of a leg's event: one session begins or ends but once at a time."""
    session = leg.session_id or leg.participant_id or ""
    own = leg.event_time or emitted_at(envelope)
    return timed(envelope, own, f"{leg.conversation_id}|{session}")


def flat_origin(envelope: Envelope, flat: Flat, participant_id: str | None = None) -> Origin:
    """Make the origin of a flat event."""
    at = flat.timestamp or sent_at(envelope)
    # Times are often whole seconds: two participants of one conversation may share one.
    who = f"{flat.conversation_id}|{participant_id}" if participant_id else flat.conversation_id
    return origin(envelope, at, f"{who}|{iso(at)}")


def is_customers(envelope: Envelope) -> bool:
    """Return whether participant and session are the customer's, or the queue's or an agent's.

    The settings may name any leg.
    """
    return ".customer." in envelope.detail_type


def without_tel(number: str | None) -> str | None:
    """Return a phone number as it is written elsewhere; None for an empty one."""
    return (number or "").removeprefix("tel:") or None
