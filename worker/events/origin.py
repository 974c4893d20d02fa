"""An event, where it came from, and how the work on it ended."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, TypeVar, dataclass_transform

from msgspec import Struct

T = TypeVar("T")


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """A frozen value, equal and hashable by its fields, made in a fifth of a dataclass's time.

    Without the garbage collector: a record holds texts, numbers, times and other records, so none
    can be part of a cycle. A copy with changes: `msgspec.structs.replace`.
    """

    unshown: ClassVar[frozenset[str]] = frozenset()
    """Fields that stay out of `repr`, and so out of tracebacks."""

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in self.unshown)
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})"


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """Make a dataclass that is frozen for mypy, equal and hashable by its fields.

    `frozen=True` would hold at run time, too: there every field is set by a call, and the thirty of
    a message cost more than parsing its JSON.
    """
    # A hash is unsafe where fields change; here none does.
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(kind)


class Origin(Record, frozen=True, kw_only=True):
    """Where an event came from, and how a second copy of it is recognised."""

    event_id: str
    """`id` of the EventBridge envelope (`aws:EventId` on the 2026 custom bus); the dedupe key for a
    bare `detail`, which has none."""

    detail_type: str
    """`detail-type`, with a literal `{id}` where Genesys writes one."""

    dedupe_key: str
    """SHA-256, hex: the same for every re-send of the event, whatever its envelope id."""

    occurred_at: datetime
    """The event's own time, in UTC: never the time of receipt."""

    correlation_id: str | None = None
    """`detail.metadata.CorrelationId`: what Genesys support asks for."""

    replayed: bool = False
    """True when the bus says that the event comes from an archive replay."""

    organization_id: str | None = None
    """Genesys organization that the event's `source` names, in lower case; None when it names
    none."""


class Event(Record, frozen=True, kw_only=True):
    """What a job acts on: each job has classes of its own, that add what it needs to know."""

    origin: Origin
    conversation_id: str | None = None
    """The conversation it is about; None when it is about none."""


class Result(StrEnum):
    """The label of a finished run in metrics and logs."""

    OK = "ok"
    DEGRADED = "degraded"
    """Done with less than wanted: stale or missing customer data."""

    DUPLICATE = "duplicate"
    """Nothing to do: the effect was there already, or a newer one is."""

    SKIPPED = "skipped"
    """Not wanted, by a rule of the job itself."""

    EXPIRED = "expired"
    """Too old to matter; dropped on purpose."""
