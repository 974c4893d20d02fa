"""Events of all jobs, and what the emulators must know for them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from tests.isolation.emulators import (
    FLOW_ID,
    Ended,
    Environment,
    Spoken,
    a_conversation,
    a_flow,
    a_transcript,
    envelope,
    iso,
    leg,
    platform,
)

ENDED = "v2.detail.events.conversation.{id}.customer.end"
STARTED = "v2.detail.events.conversation.{id}.customer.start"
INPUTS = {"accountId": "string", "tier": "string"}
SEVERE = ((-1, 0.9),) * 9 + ((1, 0.9),)

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its job, its conversation, the body of its message."""

    job: str
    conversation_id: str
    body: str
    phone: str = ""


def new_id() -> str:
    """Return an id that no other run has."""
    return str(uuid4())


def new_phone() -> str:
    """Return a number that no one in this run has."""
    return f"+1555{next(_numbers):07d}"


def now() -> datetime:
    """Return the time in whole milliseconds, as events carry it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def voice(emulators: Environment, *, phone: str = "", tier: str | None = "gold") -> Event:
    """Make a score with a caller's number: one call, to the data action.

    `tier`: of the customer; None: the data action does not know the number.
    """
    conversation_id, phone, at = new_id(), phone or new_phone(), now()
    if tier is not None:
        emulators.genesys.customers[phone] = {"accountId": f"A{phone}", "tier": tier, "ltv": 1000.5}
    detail = {
        "conversationId": conversation_id,
        "timestamp": iso(at),
        "phoneNumber": phone,
        "sentiment": {"overall": 0.5},
    }
    body = envelope("voice.analytics", detail, at=at, event_id=new_id())
    return Event("voice", conversation_id, body, phone)


def ended(emulators: Environment) -> Event:
    """Make a call that ended, known to analytics."""
    conversation_id, session_id, at = new_id(), new_id(), now()
    emulators.genesys.ended[conversation_id] = Ended(
        _record(conversation_id, session_id, "voice", at)
    )
    body = leg(conversation_id, session_id, at, mediaType="VOICE")
    return Event("workflow", conversation_id, platform(ENDED, body, at=at, event_id=new_id()))


def chat(emulators: Environment, *, correlation_id: str = "") -> Event:
    """Make a chat that ended badly: bus, CRM webhook and alert are to be notified."""
    conversation_id, session_id, at = new_id(), new_id(), now()
    record = _record(conversation_id, session_id, "message", at)
    emulators.genesys.ended[conversation_id] = Ended(record)
    emulators.genesys.speech.conversations[conversation_id] = Spoken(
        score=-0.8, transcripts={session_id: a_transcript(*SEVERE)}
    )
    customer = {"id": session_id, "purpose": "customer"}
    emulators.genesys.conversations[conversation_id] = {
        "id": conversation_id,
        "participants": [customer],
    }
    body = leg(conversation_id, session_id, at, mediaType="MESSAGE")
    text = platform(ENDED, body, at=at, event_id=new_id())
    if correlation_id:
        text = text.replace('"CorrelationId":"', f'"CorrelationId":"{correlation_id}')
    return Event("sentiment", conversation_id, text)


def started(
    emulators: Environment,
    *,
    phone: str = "",
    record: Mapping[str, Any] | None = None,
    known: bool = True,
) -> Event:
    """Make a conversation that began; the CRM knows it by its id and by nothing else.

    `known`: False: the CRM does not know it at all.
    """
    conversation_id, participant_id = new_id(), new_id()
    emulators.genesys.flows.setdefault(FLOW_ID, a_flow(FLOW_ID, INPUTS))
    customer = {"id": participant_id, "purpose": "customer", "address": f"tel:{phone}"}
    emulators.genesys.conversations[conversation_id] = {
        "id": conversation_id,
        "participants": [customer],
    }
    if known:
        of_customer = record or {"accountId": f"A-{conversation_id[:8]}", "tier": "gold"}
        emulators.crm.by_conversation[conversation_id] = dict(of_customer)
    return started_again(conversation_id, participant_id, phone)


def started_again(conversation_id: str, participant_id: str, phone: str = "") -> Event:
    """Make the event of a conversation that is known already."""
    at, phone = now(), phone or new_phone()
    body = leg(conversation_id, participant_id, at, mediaType="VOICE", ani=f"tel:{phone}")
    text = platform(STARTED, body, at=at, event_id=new_id())
    return Event("attributes", conversation_id, text, phone)


def started_unnamed(emulators: Environment) -> Event:
    """Make a conversation that began, in the flat form: its customer must be looked up."""
    event = started(emulators)
    detail = {"conversationId": event.conversation_id, "phoneNumber": event.phone}
    text = envelope("conversation.start", detail, at=now(), event_id=new_id())
    return replace(event, body=text)


def attributes_of(emulators: Environment, event: Event) -> dict[str, str]:
    """Return what stands at the conversation's customer."""
    [customer] = emulators.genesys.conversations[event.conversation_id]["participants"]
    return customer.get("attributes", {})


def report(name: str, start: datetime, days: int) -> Event:
    """Make a report of so many days due."""
    interval = f"{iso(start)}/{iso(start + timedelta(days=days))}"
    detail = {"name": name, "interval": interval}
    return Event("reports", "", envelope("report.due", detail, at=now(), event_id=new_id()))


def _record(conversation_id: str, session_id: str, media: str, at: datetime) -> dict[str, Any]:
    start, end = iso(at - timedelta(minutes=4)), iso(at)
    return a_conversation(conversation_id, session_id, media_type=media, start=start, end=end)
