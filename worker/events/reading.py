"""From the body of a message to typed events, by what the jobs declare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from worker.errors import Permanent
from worker.events.envelope import Envelope, open_envelope
from worker.events.origin import Event

Reader = Callable[[Envelope], Event | None]
"""Returns None for an event that is not the job's by its content; raises Permanent."""

Form = Literal["platform", "reference"]

MAX_CHOICES = 1024
"""Types are few; a sender of ever new ones only makes this be refilled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """An event as its job declares it."""

    kind: type[Event]
    types: str
    """Field of the job's settings that lists the globs of its `detail-type`."""

    platform: Reader
    """Reads the form that Genesys Cloud sends."""

    reference: Reader
    """Reads the flat form of the reference texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An event that a job wants, with the globs in force."""

    job: str
    globs: tuple[str, ...]
    event: EventType

    def wants(self, detail_type: str) -> bool:
        """Return whether events of this `detail-type` are read for the job."""
        return any(fnmatchcase(detail_type, glob) for glob in self.globs)


class ForJob(NamedTuple):
    """An event, and the job it is for."""

    job: str
    event: Event


@dataclass(frozen=True, slots=True)
class UnknownType:
    """An event that no job wants."""

    detail_type: str
    """Printable and short, so it may be logged."""


class EventReader:
    """Reads bodies as the events of the jobs."""

    def __init__(self, wanted: Sequence[Wanted], organization_id: str | None = None) -> None:
        """`organization_id`: the Genesys organization whose events are read; None: of all."""
        self._wanted = tuple(wanted)
        self._organization_id = organization_id and organization_id.lower()
        self._choices: dict[tuple[str, Form], tuple[tuple[str, Reader], ...]] = {}

    def __call__(self, body: str | bytes) -> tuple[ForJob, ...] | UnknownType:
        """Read a message's body as the events it stands for: never an empty tuple.

        Permanent, naming the field, when the body cannot be read, or when its `source` names
        another Genesys organization; nothing else is raised.
        """
        envelope = open_envelope(body)
        if self._organization_id is not None:
            self._refuse_others(envelope.organization_id)
        form: Form = "reference" if envelope.body is None else "platform"
        detail_type = envelope.detail_type
        read = [(job, reader(envelope)) for job, reader in self._readers_of(detail_type, form)]
        events = tuple([ForJob(job, event) for job, event in read if event is not None])
        return events or UnknownType(detail_type)

    def jobs_of(self, detail_type: str) -> frozenset[str]:
        """Return the jobs to which events of this type belong; empty for a type of none."""
        return frozenset(job for job, _ in self._readers_of(detail_type, "platform"))

    def _refuse_others(self, named: str | None) -> None:
        if named is not None and named != self._organization_id:
            raise Permanent(
                f"source: of Genesys organization {named}, not of GENESYS_ORGANIZATION_ID"
            )

    def _readers_of(self, detail_type: str, form: Form) -> tuple[tuple[str, Reader], ...]:
        readers = self._choices.get((detail_type, form))
        if readers is None:
            if len(self._choices) >= MAX_CHOICES:
                self._choices.clear()
            readers = self._choices[detail_type, form] = tuple(
                (one.job, one.event.platform if form == "platform" else one.event.reference)
                for one in self._wanted
                if one.wants(detail_type)
            )
        return readers
