"""Who the customer is to the business."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from worker.errors import Permanent

_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?(e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Customer:
    """What the data action knows."""

    tier: str
    ltv: Decimal | None
    """Lifetime value, exact, in the data action's own currency; None when not known."""


UNKNOWN = Customer(tier="unknown", ltv=None)
"""Nobody by that number: an answer, not a failure."""


def customer_of(
    output: Mapping[str, Any] | None, *, tier_field: str, ltv_field: str
) -> Customer | None:
    """Read a data action's output; None when it means that there is no such customer.

    Permanent, naming the field, when a value is not what the field is for.
    """
    tier = None if output is None else output.get(tier_field)
    if output is None or tier is None or tier == "":
        return None
    if not isinstance(tier, str):
        raise Permanent(f"data action output {tier_field}: not text")
    return Customer(tier, _ltv(output.get(ltv_field), ltv_field))


def _ltv(value: object, field: str) -> Decimal | None:
    if value is None or value == "":  # a translation map gives "" where it finds nothing
        return None
    # Through repr: Decimal(0.1) would carry the float's binary tail, and True reads as no number.
    digits = repr(value) if isinstance(value, int | float) else value
    if not isinstance(digits, str) or not _NUMBER.fullmatch(digits):
        raise Permanent(f"data action output {field}: not a number")
    return Decimal(digits)
