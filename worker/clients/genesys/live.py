"""Live conversations: who the customer is, and by which media.

`GET /api/v2/conversations/{id}`, alike in both dialects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request

CUSTOMER_PURPOSES = {"customer", "external"}
"""`customer` on ACD conversations, `external` on others."""


MEDIA = (
    "calls",
    "callbacks",
    "chats",
    "cobrowsesessions",
    "emails",
    "internalMessages",
    "messages",
    "screenshares",
    "socialExpressions",
    "videos",
)
"""A participant's legs, by the names of the lists that hold them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The customer of a live conversation, and what it is made of."""

    address: str | None = field(default=None, repr=False)
    """Raw (`tel:+1555...`, `sip:...`); None: none is known."""

    media: frozenset[str] = frozenset()
    """Which of `MEDIA` its participants have; empty: the conversation is gone, or does not say."""


def live_caller(conversation_id: str) -> Call[Caller]:
    """Ask who the customer is, and by which media."""
    return Call(live_conversation(conversation_id), _caller, wire.CONVERSATIONS)


def live_conversation(conversation_id: str) -> Request:
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
    participants = listed if isinstance(listed, list) else []
    found = [who for who in participants if isinstance(who, dict) and _is_customer(who)]
    return sorted(found, key=_joined)


class LiveConversations:
    """Asks for conversations that are under way."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def caller(self, conversation_id: str) -> Caller:
        """Return the conversation's customer, and its media."""
        return await self._api.run(live_caller(conversation_id))


def _caller(reply: Reply) -> Caller:
    if reply.status == 404:
        # Not NotYet: it has left the live store, or is another division's; waiting shows neither.
        return Caller()
    customers = customers_of(reply)
    participants = wire.objects_in(wire.object_of(reply).get("participants"))
    media = frozenset(
        name for who in participants for name in MEDIA if wire.objects_in(who.get(name))
    )
    # The first one's or none: of the others, some are parties whom the agent consulted.
    return Caller(next(map(_address, customers), None), media)


def _is_customer(participant: Mapping[str, Any]) -> bool:
    purpose = participant.get("purpose")
    return isinstance(purpose, str) and purpose.lower() in CUSTOMER_PURPOSES


def _address(participant: Mapping[str, Any]) -> str | None:
    callbacks = wire.objects_in(participant.get("callbacks"))
    called_back = (number for one in callbacks for number in _listed(one.get("callbackNumbers")))
    return wire.text_of(participant.get("address")) or next(called_back, None)


def _listed(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _joined(participant: Mapping[str, Any]) -> str:
    """Return the ISO 8601 time in UTC, which sorts as text; participants without one come last."""
    times = (participant.get("startTime"), participant.get("connectedTime"))
    return min((t for t in times if isinstance(t, str) and t), default="~")
