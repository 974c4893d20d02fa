"""What the commands that change nothing find: facts of `check`, and what `inspect` reports."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact and its state."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""
    """What to do; empty when it is ok."""


def ok(name: str, found: str) -> Finding:
    """Return a finding for what is as it should be."""
    return Finding(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Finding:
    """Return a finding for what works, but not in every case."""
    return Finding(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    """Return a finding for what must be fixed first."""
    return Finding(name, "fail", found, remedy)


Checks = Mapping[str, Callable[[Any], Awaitable[Sequence[Finding]]]]
"""Checks by name, that of their finding should they have no answer; each is given the context."""

State = Literal["ok", "warn", "fail", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the answers of upstreams would make of an event; nothing was written.

    `lines` and `report` hold the customer's values; what is printed unless they are asked for is
    `masked`.
    """

    lines: Sequence[tuple[State, str, str]] = ()
    """For people: state, a word or two, text."""

    report: Mapping[str, Any] | None = None
    """For machines."""

    masked: "Inspection | None" = None
    """The same without any value; None where it has none."""

    complete: bool = True
    """False: something would be left out."""

    problem: str | None = None
    """Why the event would not be handled."""
