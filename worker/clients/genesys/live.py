"""The live conversation, alike in both dialects: `GET /api/v2/conversations/{id}`."""

from collections.abc import Mapping
from typing import Any

from worker.clients.genesys import wire
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request

UPSTREAM = "conversations"

CUSTOMER_PURPOSES = {"customer", "external"}
"""`customer` on ACD conversations, `external` on others."""


def customer_address(conversation_id: str) -> Call[str | None]:
    """Ask for the customer's address, raw (`tel:+1555...`, `sip:...`); None: none is known."""
    return Call(conversation(conversation_id), _customer_address, UPSTREAM)


def conversation(conversation_id: str) -> Request:
    """Return the request for a live conversation."""
    return Request(
        method="GET",
        path=f"/api/v2/conversations/{wire.conversation_id_in_path(conversation_id)}",
        template="/api/v2/conversations/{conversationId}",
    )


def customers_of(reply: Reply) -> list[Mapping[str, Any]]:
    """Return the customers of a live conversation, the one who called first.

    Transfers and conferences add customers.
    """
    listed = wire.object_of(reply).get("participants")
    everybody = listed if isinstance(listed, list) else []
    found = [who for who in everybody if isinstance(who, dict) and _is_customer(who)]
    return sorted(found, key=_joined)


def _customer_address(reply: Reply) -> str | None:
    if reply.status == 404:
        # Not NotYet: it has left the live store, or is another division's; waiting shows neither.
        return None
    # The first one's or none: of the others, some are parties whom the agent consulted.
    return next(map(_address, customers_of(reply)), None)


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
