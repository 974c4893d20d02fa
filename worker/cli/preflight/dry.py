"""Dry calls: made as in earnest, and refused for what they carry.

A call that AWS must refuse for its content alone changes nothing. And as AWS decides whether a call
is allowed before it reads what is in it, the refusal tells whether the same call would be let
through. That order is not documented, and was not tried on an account.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from worker.cli.preflight.faults import REFUSALS, Fault, fault_of
from worker.cli.preflight.rows import Row, fail
from worker.clients.aws.errors import kind_of

MARK = "worker-check"
"""Name of what is never made: should something take it all the same, it can be found."""

NO_JSON = "worker check: this is no JSON, on purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a dry call is about."""

    name: str
    """Of the row."""

    action: str
    """The right it takes, in IAM's words."""

    setting: str
    """Where its name or ARN comes from."""


async def refusal_of(call: Awaitable[Any]) -> Fault | None:
    """Return what a call was refused for; None when it was not."""
    try:
        await call
    except REFUSALS as error:
        return fault_of(error)
    return None


def refused(target: Target, fault: Fault) -> Row:
    """Return the row of a call that was refused for another reason than its content."""
    if kind_of(fault.code) == "denied":
        return fail(target.name, f"{fault.code} to {target.action}", fault.remedy)
    if kind_of(fault.code) == "missing":
        return fail(target.name, fault.code, f"check {target.setting}, the account and the region")
    return fail(target.name, fault.code, fault.remedy)
