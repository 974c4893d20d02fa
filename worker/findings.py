"""One fact that a check reports, and what to do about it."""

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
