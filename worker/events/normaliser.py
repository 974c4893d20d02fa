"""From the body of a message to typed events; the one place that knows all readers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from worker.errors import Permanent
from worker.events.envelope import Envelope, open_envelope
from worker.events.origin import Event
from worker.jobs.attributes import events
from worker.jobs.reports.events import report_due
from worker.jobs.sentiment import events
from worker.jobs.voice import events
from worker.jobs.workflow import events
from worker.settings import Events as EventTypes

Reader = Callable[[Envelope], Event | None]

Form = Literal["platform", "reference"]

_READERS: Mapping[Form, Mapping[str, Reader]] = {
    "platform": {
        "voice_types": events.from_platform,
        "ended_types": events.from_platform,
        "attributes_types": events.from_platform,
        "chat_types": events.from_platform,
        "report_types": report_due,
    },
    "reference": {
        "voice_types": events.from_reference,
        "ended_types": events.from_reference,
        "attributes_types": events.from_reference,
        "chat_types": events.from_reference,
        "report_types": report_due,
    },
}
"""By the setting that names the types each one reads."""


Choices = dict[tuple[str, Form], tuple[Reader, ...]]

MAX_CHOICES = 1024
"""Types are few; whoever sends ever new ones makes this be filled again, and no more."""

MAX_SETTINGS = 16
"""A process has one; tests have many."""

_choices: dict[int, tuple[EventTypes, Choices]] = {}


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An event that none of our types wants."""

    detail_type: str
    """Printable and short, so it may be logged."""


def open_events(
    body: str | bytes, types: EventTypes, organization_id: str | None = None
) -> tuple[Event, ...] | Unrouted:
    """Read a message's body as the events it stands for: never an empty tuple.

    Permanent, naming the field, when the body cannot be read, or when its `source` names another
    Genesys organization than `organization_id` (None: any will do); nothing else is raised.
    """
    envelope = open_envelope(body)
    if organization_id is not None:
        _refuse_others(envelope.organization_id, organization_id)
    form: Form = "reference" if envelope.body is None else "platform"
    events = [reader(envelope) for reader in _readers_of(envelope.detail_type, form, types)]
    wanted = tuple([event for event in events if event is not None])
    return wanted or Unrouted(envelope.detail_type)


def _refuse_others(named: str | None, ours: str) -> None:
    if named is not None and named != ours.lower():
        raise Permanent(f"source: of Genesys organization {named}, not of GENESYS_ORGANIZATION_ID")


def _readers_of(detail_type: str, form: Form, types: EventTypes) -> tuple[Reader, ...]:
    chosen = _chosen_by(types)
    readers = chosen.get((detail_type, form))
    if readers is None:
        if len(chosen) >= MAX_CHOICES:
            chosen.clear()
        readers = chosen[detail_type, form] = tuple(
            reader
            for setting, reader in _READERS[form].items()
            if any(fnmatchcase(detail_type, glob) for glob in getattr(types, setting))
        )
    return readers


def _chosen_by(types: EventTypes) -> Choices:
    """Return what was chosen by these settings so far.

    Known by identity: the hash that `lru_cache` asks for is that of every glob, for each event.
    """
    known = _choices.get(id(types))
    if known is None or known[0] is not types:
        if len(_choices) >= MAX_SETTINGS:
            _choices.clear()
        known = _choices[id(types)] = (types, {})
    return known[1]
