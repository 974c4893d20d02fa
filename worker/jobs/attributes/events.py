"""The event: a conversation began and may be given CRM attributes."""

import re
from typing import Any

from worker.api import (
    MAX_ITEMS,
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
    read_id_if_any,
    read_text_if_any,
    without_tel,
)


class AttributesWanted(Event, frozen=True, kw_only=True):
    """A conversation began and may be given CRM attributes."""

    unshown = frozenset({"phone_number"})

    conversation_id: str
    participant_id: str | None = None
    """The customer's participant, when the event names it."""

    phone_number: str | None = None


class _Start(LegFields):
    """A leg, and who called or wrote to whom."""

    direction: Any = None
    ani: Any = None
    dnis: Any = None
    address_from: Any = None
    address_to: Any = None
    message_type: Any = None
    callback_numbers: Any = None


class _Flat(FlatFields):
    participant_id: Any = None
    phone_number: Any = None


_WHATSAPP = re.compile(r"[1-9][0-9]{6,14}")
"""A WhatsApp address is an E.164 number without its `+`."""

_start = decoder(_Start)
_flat = decoder(_Flat)


def from_platform(envelope: Envelope) -> AttributesWanted:
    """Read a `customer.start`, or another leg that the settings take for one."""
    fields = event_body(envelope, _start)
    leg = leg_of(fields)
    return AttributesWanted(
        origin=leg_origin(envelope, leg),
        conversation_id=leg.conversation_id,
        participant_id=leg.participant_id if is_customers(envelope) else None,
        phone_number=_customers_number(fields),
    )


def from_reference(envelope: Envelope) -> AttributesWanted:
    """Read a `conversation.start`."""
    fields = flat_detail(envelope, _flat)
    flat = flat_of(fields)
    participant_id = read_id_if_any(fields.participant_id)
    number = read_text_if_any(fields.phone_number)
    return AttributesWanted(
        origin=flat_origin(envelope, flat, participant_id),
        conversation_id=flat.conversation_id,
        participant_id=participant_id,
        phone_number=without_tel(number),
    )


def _customers_number(fields: _Start) -> str | None:
    """Return who is called back, else the customer's side; `tel:` stripped.

    None where the direction is unknown.
    """
    ani, dnis = read_text_if_any(fields.ani), read_text_if_any(fields.dnis)
    callbacks = fields.callback_numbers if isinstance(fields.callback_numbers, list) else ()
    sides = {
        "INBOUND": ani or _address(fields.address_from),
        "OUTBOUND": dnis or _address(fields.address_to),
    }
    side = sides.get(str(fields.direction).upper())
    if side and str(fields.message_type).upper() == "WHATSAPP" and _WHATSAPP.fullmatch(side):
        side = f"+{side}"
    return without_tel(next(filter(None, map(_address, callbacks[:MAX_ITEMS])), side))


def _address(value: object) -> str | None:
    """Of any length: an email may be to many. What is no phone number goes nowhere."""
    return value if isinstance(value, str) else read_text_if_any(value)
