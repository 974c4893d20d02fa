"""The CRM: a customer's record by conversation or number, remembered."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal

from worker.api import (
    Cache,
    Cached,
    HttpService,
    Reply,
    Request,
    Unreadable,
    failure_of,
    json_of,
    path_of,
)

Record = Mapping[str, Any]
"""A customer's fields, in the CRM's own words."""


CacheBy = Literal["conversation", "phone"]


_KEY = secrets.token_bytes(32)
"""Keys of the cache are HMACs, so that a memory dump shows no phone numbers. Of the process: two
clients of one cache find each other's answers."""


class Crm:
    """Looks customers up, and remembers each answer for the question it was given to."""

    def __init__(
        self,
        url: str,
        http: HttpService,
        cache: Cache[bytes, Record],
        *,
        token: str | Callable[[], str] | None = None,
        cache_by: CacheBy = "conversation",
    ) -> None:
        """`http`: to the host of `url`. `cache_by`: see `find`.

        `token`: sent as a bearer token; a function is asked each time, as it may be rotated.
        """
        self._url = url
        self._http = http
        self._cache = cache
        self._token = token
        self._cache_by = cache_by

    async def find(self, conversation_id: str, phone: str | None) -> Cached[Record]:
        """Find the customer of a conversation; `value` None when the CRM knows none.

        `phone`: E.164, or None. The CRM is asked by conversation and number, and what it says is
        remembered for that conversation: it may know more of it than the number. By `phone` it is
        asked by number alone, and every conversation of the number shares the answer; one without
        a number is asked for by conversation.

        Raises Transient when the CRM is down and nothing usable is remembered.
        """
        by_number = self._cache_by == "phone" and phone is not None
        conversation = None if by_number else conversation_id
        question = f"{conversation or ''}|{phone or ''}"
        key = hmac.digest(_KEY, question.encode(), "sha256")
        return await self._cache.get(key, lambda: self._load(conversation, phone))

    async def status_for(self, conversation_id: str) -> int:
        """Ask for a conversation past the cache; return the status of a readable answer."""
        return await self._http.ask(self._asked(conversation_id, None), status_of_record)

    async def _load(self, conversation_id: str | None, phone: str | None) -> Record | None:
        return await self._http.ask(self._asked(conversation_id, phone), record_of)

    def _asked(self, conversation_id: str | None, phone: str | None) -> Request:
        token = self._token() if callable(self._token) else self._token
        return look_up(self._url, token, conversation_id, phone)


def look_up(url: str, token: str | None, conversation_id: str | None, phone: str | None) -> Request:
    """Return the question for a customer; for the parameters see `Crm`."""
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
        raise failure_of("crm", reply, "CRM_API_TOKEN")
    record = json_of("crm", reply)
    if record is not None and not isinstance(record, dict):
        raise Unreadable("crm: reply is not an object")
    return record or None


def status_of_record(reply: Reply) -> int:
    """Return the status of a reply that `record_of` can read; raises as that does."""
    record_of(reply)
    return reply.status
