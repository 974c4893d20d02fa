"""Customers by phone number, through the data action that knows them."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.domain.customer import Customer, customer_of
from worker.resilience.cache import Cache, Cached

Find = Callable[[str, Mapping[str, str]], Awaitable[Mapping[str, Any] | None]]
"""`execute_data_action(action_id, inputs)`: the output, or None for nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAction:
    """A data action, and the names its author gave to the fields."""

    id: str
    input_field: str = "phone_number"
    tier_field: str = "tier"
    ltv_field: str = "ltv"


MOST_CONVERSATIONS = 10_000
"""Conversations whose customer is remembered, the latest ones."""


class Customers:
    """Looks customers up, and remembers them for a while."""

    def __init__(self, find: Find, action: CustomerAction, cache: Cache[bytes, Customer]) -> None:
        self._find = find
        self._action = action
        self._cache = cache
        # The cache is keyed by HMAC: a memory dump or a debugger shows no phone numbers, and
        # without the key, which dies with the process, they cannot be tried one by one.
        self._key = secrets.token_bytes(32)
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        """Key of the number by conversation: several scores of one conversation come."""

    async def by_phone(self, number: str, conversation_id: str | None = None) -> Cached[Customer]:
        """Find the customer behind an E.164 number; `value` None when there is none.

        `conversation_id`: whose customer that is, for `of_conversation`. Raises what the data
        action raises when nothing usable is cached, and Permanent when its output cannot be read.
        """
        key = hmac.digest(self._key, number.encode(), "sha256")
        if conversation_id is not None:
            self._keys.pop(conversation_id, None)
            self._keys[conversation_id] = key
            if len(self._keys) > MOST_CONVERSATIONS:
                self._keys.popitem(last=False)
        return await self._cache.get(key, lambda: self._load(number))

    def of_conversation(self, conversation_id: str) -> Cached[Customer] | None:
        """Return the customer of a conversation as last seen; None when that is not remembered."""
        key = self._keys.get(conversation_id)
        return None if key is None else self._cache.remembered(key)

    async def _load(self, number: str) -> Customer | None:
        action = self._action
        output = await self._find(action.id, {action.input_field: number})
        return customer_of(output, tier_field=action.tier_field, ltv_field=action.ltv_field)
