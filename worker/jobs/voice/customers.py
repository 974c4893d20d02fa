"""Who a caller is to the business: the data action's answer, remembered by number."""

import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from worker.api import Cache, Cached, Permanent

_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?(e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Customer:
    """What the data action knows."""

    tier: str
    ltv: Decimal | None
    """Lifetime value, exact, in the data action's own currency; None when not known."""


UNKNOWN = Customer(tier="unknown", ltv=None)
"""No customer by that number: an answer, not a failure."""


def customer_of(
    output: Mapping[str, Any] | None, *, tier_field: str, ltv_field: str
) -> Customer | None:
    """Read a data action's output; None when it means that the customer does not exist.

    Permanent, naming the field, when a value is not what the field is for.
    """
    tier = _field(output or {}, tier_field)
    if tier is None or tier == "":
        return None
    return Customer(_tier(tier, tier_field), _ltv(_field(output or {}, ltv_field), ltv_field))


def _field(output: Mapping[str, Any], name: str) -> object:
    """Return the field of that name, or else the only one that differs by case: `Tier`."""
    if name in output:
        return output[name]
    alike = [key for key in output if key.casefold() == name.casefold()]
    return output[alike[0]] if len(alike) == 1 else None


def _tier(value: object, field: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)  # some CRMs number their tiers
    if not isinstance(value, str):
        raise Permanent(f"data action output {field}: not text")
    return value


def _ltv(value: object, field: str) -> Decimal | None:
    if value is None or value == "":  # a translation map gives "" where it finds nothing
        return None
    # Through repr: Decimal(0.1) would carry the float's binary tail, and True reads as no number.
    digits = repr(value) if isinstance(value, int | float) else value
    if not isinstance(digits, str) or not _NUMBER.fullmatch(digits):
        raise Permanent(f"data action output {field}: not a number")
    return Decimal(digits)


Find = Callable[[str, Mapping[str, str]], Awaitable[Mapping[str, Any] | None]]
"""`execute_data_action(action_id, inputs)`: the output, or None for no customer."""


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
