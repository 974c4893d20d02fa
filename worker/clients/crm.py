"""The CRM: what it knows of a conversation's customer."""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from worker.clients.endpoint import failure_of, path_of
from worker.clients.exchange import Reply, Request
from worker.clients.http import HttpClient
from worker.errors import Unavailable
from worker.resilience.cache import Cache, Cached
from worker.resilience.guard import Guard

Record = Mapping[str, Any]
"""A customer's fields, in the CRM's own words."""


class Crm:
    """Looks customers up by conversation and phone number, and remembers them for a while."""

    def __init__(
        self,
        url: str,
        http: HttpClient,
        guard: Guard,
        cache: Cache[bytes, Record],
        *,
        token: str | None = None,
    ) -> None:
        """`http`: to `origin_of(url)`. `token`: sent as a bearer token."""
        self._url = url
        self._http = http
        self._guard = guard
        self._cache = cache
        self._token = token
        # Keys are HMACs, so that a memory dump shows no phone numbers.
        self._key = secrets.token_bytes(32)

    async def find(self, conversation_id: str, phone: str | None) -> Cached[Record]:
        """Find the customer of a conversation; `value` None when the CRM knows none.

        `phone`: E.164. With it, the answer is remembered for the customer's next conversations
        too. Raises Transient when the CRM is down and nothing usable is remembered.
        """
        key = hmac.digest(self._key, (phone or conversation_id).encode(), "sha256")
        return await self._cache.get(key, lambda: self._load(conversation_id, phone))

    async def _load(self, conversation_id: str, phone: str | None) -> Record | None:
        request = look_up(self._url, self._token, conversation_id, phone)

        async def attempt() -> Record | None:
            return record_of(await self._http.send(request))

        return await self._guard.call(attempt)


def look_up(url: str, token: str | None, conversation_id: str, phone: str | None) -> Request:
    """Return the question for a conversation's customer; for the parameters see `Crm`."""
    return Request(
        method="GET",
        path=path_of(url, conversationId=conversation_id, phone=phone),
        template="CRM_API_ENDPOINT",
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
    )


def record_of(reply: Reply) -> Record | None:
    """Return the customer's record; None for a 404 and for an answer without any field."""
    if reply.status == 404:
        return None
    if not 200 <= reply.status < 300:
        raise failure_of("crm", reply)
    try:
        record = orjson.loads(reply.body or b"null")
    except orjson.JSONDecodeError:
        # Not chained: the decoder's error holds the document.
        raise Unavailable("crm: unreadable reply") from None
    if record is not None and not isinstance(record, dict):
        raise Unavailable("crm: reply is not an object")
    return record or None
