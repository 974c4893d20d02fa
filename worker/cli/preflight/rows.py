"""A row of the preflight table."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One fact and its verdict."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""
    """What to do; empty when it is well."""


def ok(name: str, found: str) -> Row:
    """Return a row for what is as it should be."""
    return Row(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Row:
    """Return a row for what works, but not in every case."""
    return Row(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Row:
    """Return a row for what must be mended first."""
    return Row(name, "fail", found, remedy)
