"""The live conversation, alike in both dialects: `GET /api/v2/conversations/{id}`."""

from collections.abc import Mapping
from typing import Any

from worker.clients.exchange import Reply, Request
from worker.clients.genesys import wire
from worker.clients.genesys.wire import Call

CUSTOMER_PURPOSES = {"customer", "external"}
"""`customer` on ACD conversations, `external` on others (GENESYS sheet 8.2)."""


def customer_address(conversation_id: str) -> Call[str | None]:
    """Ask for the customer's address, raw (`tel:+1555...`, `sip:...`); None: none is known."""
    request = Request(
        method="GET",
        path=f"/api/v2/conversations/{wire.conversation_id_in_path(conversation_id)}",
        template="/api/v2/conversations/{conversationId}",
    )
    return Call(request, _customer_address)


def _customer_address(reply: Reply) -> str | None:
    if reply.status == 404:
        # Not NotYet: it has left the live store, or is another division's; waiting shows neither.
        return None
    customers = [
        who for who in _participants(wire.object_of(reply)) if _is_customer(who) and _address(who)
    ]
    # Transfers and conferences add customers: the first one is who called.
    return _address(min(customers, key=_joined)) if customers else None


def _participants(conversation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = conversation.get("participants")
    return [who for who in listed if isinstance(who, dict)] if isinstance(listed, list) else []


def _is_customer(participant: Mapping[str, Any]) -> bool:
    purpose = participant.get("purpose")
    return isinstance(purpose, str) and purpose.lower() in CUSTOMER_PURPOSES


def _address(participant: Mapping[str, Any]) -> str | None:
    address = participant.get("address")
    return address if isinstance(address, str) and address else None


def _joined(participant: Mapping[str, Any]) -> str:
    """Return the ISO 8601 time in UTC, which sorts as text; participants without one come last."""
    times = (participant.get("startTime"), participant.get("connectedTime"))
    return min((t for t in times if isinstance(t, str) and t), default="~")
