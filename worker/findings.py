"""One fact that a check reports, and what to do about it."""

from dataclasses import dataclass
from typing import Literal


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
