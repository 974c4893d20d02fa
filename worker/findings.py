"""What the commands that change nothing find: `check`, `inspect` and `trace`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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


Check = Callable[[Any, Any], Awaitable[Sequence[Finding]]]
"""Takes the context and the settings; returns what is as it should be, and what is not.
It reads, or calls what must be refused: nothing is sent, written or changed. A WorkerError that it
raises is reported as a failure."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """One thing that was done for a conversation. Ids and states; no personal data."""

    time: datetime | None
    """When, aware; None where the place does not keep it."""

    what: str
    """In two or three words, e.g. `voice record`."""

    id: str
    """What it is found by in its place, e.g. the name of an execution."""

    state: str
    """What became of it."""

    job: str | None = None
    """The job that did it. `worker trace` sets it for what a job returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What was found for a conversation in one place, where effects show."""

    where: str
    """The place, e.g. `DynamoDB table voice-records`."""

    entries: Sequence[TraceEntry] = ()
    note: str = ""
    """What was not searched, and how to see it; empty: all was searched."""
