"""From the body of a message to typed events; the one place that knows both forms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from tests.oracle import platform, reference
from tests.oracle.envelope import Envelope, open_envelope
from tests.oracle.reports import report_due
from tests.oracle.types import Event
from tests.support.reading import Events as EventTypes

Reader = Callable[[Envelope], Event | None]

Form = Literal["platform", "reference"]

_READERS: Mapping[Form, Mapping[str, Reader]] = {
    "platform": {
        "voice_types": platform.voice_scored,
        "ended_types": platform.conversation_ended,
        "attributes_types": platform.attributes_wanted,
        "chat_types": platform.chat_scored,
        "report_types": report_due,
    },
    "reference": {
        "voice_types": reference.voice_scored,
        "ended_types": reference.conversation_ended,
        "attributes_types": reference.attributes_wanted,
        "chat_types": reference.chat_scored,
        "report_types": report_due,
    },
}
"""By the setting that names the types each one reads."""


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An event that none of our types wants."""

    detail_type: str
    """Printable and short, so it may be logged."""


def open_events(body: str | bytes, types: EventTypes) -> tuple[Event, ...] | Unrouted:
    """Read a message's body as the events it stands for: never an empty tuple.

    Permanent, naming the field, when the body cannot be read; nothing else is raised.
    """
    envelope = open_envelope(body)
    form: Form = "platform" if "eventBody" in envelope.detail else "reference"
    readers = _readers_of(envelope.detail_type, form, types)
    events = tuple(event for reader in readers if (event := reader(envelope)) is not None)
    return events or Unrouted(envelope.detail_type)


@lru_cache(maxsize=1024)  # types are few; a sender of ever new ones fills this and no more
def _readers_of(detail_type: str, form: Form, types: EventTypes) -> tuple[Reader, ...]:
    return tuple(
        reader
        for setting, reader in _READERS[form].items()
        if any(fnmatchcase(detail_type, glob) for glob in getattr(types, setting))
    )
