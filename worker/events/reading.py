"""From the body of a message to typed events, by what the jobs declare.

And an event of any type, for jobs that pass on what they get; and what the events of a conversation
share, in the platform form and in the flat one, for the readers that jobs declare.
https://developer.genesys.cloud/notificationsalerts/notifications/available-topics
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, Literal, TypeVar

from msgspec import UNSET, Raw, Struct, json

from worker.errors import Permanent
from worker.events.envelope import Envelope, open_envelope, parse
from worker.events.fields import (
    Wire,
    is_uuid,
    read_id,
    read_id_if_any,
    read_text_if_any,
    read_time_if_any,
)
from worker.events.origin import Event, Origin, iso, origin, sent_at, timed

T = TypeVar("T")


class LegFields(Wire):
    """What all `v2.detail.events.conversation.{id}.…` bodies share, unchecked."""

    conversation_id: Any = UNSET
    event_time: Any = None
    session_id: Any = None
    participant_id: Any = None
    media_type: Any = None


class FlatFields(Wire):
    """What all flat details share, unchecked."""

    conversation_id: Any = UNSET
    timestamp: Any = None
    media_type: Any = None


class Leg(Struct, frozen=True, gc=False):
    """One leg of a conversation, checked: None for what is absent or odd."""

    conversation_id: str
    event_time: datetime | None
    session_id: str | None
    participant_id: str | None
    media_type: str | None


class Flat(Struct, frozen=True, gc=False):
    """A flat detail, checked: None for what is absent or odd."""

    conversation_id: str
    timestamp: datetime | None
    media_type: str | None


def event_body(envelope: Envelope, decode: Callable[[Raw | str], T]) -> T:
    """Parse the body of an event in platform form."""
    assert envelope.body is not None  # noqa: S101  the form decides who reads
    return parse(decode, envelope.body, "detail.eventBody", "not an object")


def flat_detail(envelope: Envelope, decode: Callable[[Raw | str], T]) -> T:
    """Parse the detail of an event in flat form."""
    return parse(decode, envelope.detail(), "detail")


def leg_of(fields: LegFields) -> Leg:
    """Check a leg."""
    return Leg(
        read_id(fields.conversation_id, "detail.eventBody.conversationId"),
        read_time_if_any(fields.event_time),
        read_text_if_any(fields.session_id),
        read_id_if_any(fields.participant_id),
        read_text_if_any(fields.media_type),
    )


def flat_of(fields: FlatFields) -> Flat:
    """Check a flat detail."""
    return Flat(
        read_id(fields.conversation_id, "detail.conversationId"),
        read_time_if_any(fields.timestamp),
        read_text_if_any(fields.media_type),
    )


def emitted_at(envelope: Envelope) -> datetime | None:
    """Return when Genesys emitted the event."""
    return read_time_if_any(envelope.timestamp)


def leg_origin(envelope: Envelope, leg: Leg) -> Origin:
    """Make the origin of a leg's event: one session begins or ends but once at a time."""
    session = leg.session_id or leg.participant_id or ""
    own = leg.event_time or emitted_at(envelope)
    return timed(envelope, own, f"{leg.conversation_id}|{session}")


def flat_origin(envelope: Envelope, flat: Flat, participant_id: str | None = None) -> Origin:
    """Make the origin of a flat event."""
    at = flat.timestamp or sent_at(envelope)
    # Times are often whole seconds: two participants of one conversation may share one.
    who = f"{flat.conversation_id}|{participant_id}" if participant_id else flat.conversation_id
    return origin(envelope, at, f"{who}|{iso(at)}")


def is_customers(envelope: Envelope) -> bool:
    """Return whether participant and session are the customer's, or the queue's or an agent's.

    The settings may name any leg.
    """
    return ".customer." in envelope.detail_type


def without_tel(number: str | None) -> str | None:
    """Return a phone number as it is written elsewhere; None for an empty one."""
    return (number or "").removeprefix("tel:") or None


Reader = Callable[[Envelope], Event | None]
"""Returns None for an event that is not the job's by its content; raises Permanent."""

Form = Literal["platform", "reference"]

CONVERSATION = "conversationId"
"""Where the bodies of Genesys Cloud's topics carry it, if they are about one."""

MAX_CHOICES = 1024
"""Types are few; a sender of ever new ones only makes this be refilled."""


class EventType(Struct, frozen=True, kw_only=True):
    """An event as its job declares it."""

    kind: type[Event]
    types: str
    """Field of the job's settings that lists the globs of its `detail-type`."""

    platform: Reader
    """Reads the form that Genesys Cloud sends."""

    reference: Reader
    """Reads the flat form of the reference texts."""


class Wanted(Struct, frozen=True, kw_only=True):
    """An event that a job wants, with the globs in force."""

    job: str
    globs: tuple[str, ...]
    event: EventType

    def wants(self, detail_type: str) -> bool:
        """Return whether events of this `detail-type` are read for the job."""
        return any(fnmatchcase(detail_type, glob) for glob in self.globs)


class ForJob(Struct, frozen=True, gc=False):
    """An event, and the job it is for."""

    job: str
    event: Event


class UnknownType(Struct, frozen=True):
    """An event that no job wants."""

    detail_type: str
    """Printable and short, so it may be logged."""


class EventReader:
    """Reads bodies as the events of the jobs: many are parsed first, all of them, and then read."""

    parse = staticmethod(open_envelope)

    def __init__(self, wanted: Sequence[Wanted], organization_id: str | None = None) -> None:
        """`organization_id`: the Genesys organization whose events are read; None: of all."""
        self._wanted = tuple(wanted)
        self._organization_id = organization_id and organization_id.lower()
        self._choices: dict[Form, dict[str, tuple[tuple[str, Reader], ...]]] = {
            "platform": {},
            "reference": {},
        }

    def __call__(self, body: str | bytes) -> tuple[ForJob, ...] | UnknownType:
        """Read a message's body as the events it stands for: never an empty tuple.

        Permanent, naming the field, when the body cannot be read, or when its `source` names
        another Genesys organization; nothing else is raised.
        """
        return self.read(self.parse(body))

    def read(self, envelope: Envelope) -> tuple[ForJob, ...] | UnknownType:
        """Read an open envelope, as `__call__` does a body."""
        if self._organization_id is not None:
            self._refuse_others(envelope.organization_id)
        form: Form = "reference" if envelope.body is None else "platform"
        detail_type = envelope.detail_type
        known = self._choices[form].get(detail_type)
        events: tuple[ForJob, ...] = ()
        for job, reader in known or self._readers_of(detail_type, form):
            if (event := reader(envelope)) is not None:
                events += (ForJob(job, event),)  # by no comprehension: as a rule there is one
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
        choices = self._choices[form]
        readers = choices.get(detail_type)
        if readers is None:
            if len(choices) >= MAX_CHOICES:
                choices.clear()
            readers = choices[detail_type] = tuple(
                (one.job, one.event.platform if form == "platform" else one.event.reference)
                for one in self._wanted
                if one.wants(detail_type)
            )
        return readers


class AnyEvent(Event, frozen=True, kw_only=True):
    """An event whose content was not parsed."""

    unshown = frozenset({"content", "whole"})

    content: bytes
    """JSON of `detail.eventBody`; in the flat form of `detail`."""

    whole: bytes
    """JSON of the event as it came, or of its bare `detail`."""

    def body(self) -> dict[str, object]:
        """Return the content. Raises Permanent when it is no object."""
        body: object = json.decode(self.content)
        if not isinstance(body, dict):
            raise Permanent("detail.eventBody: not an object")
        return body

    def text(self, field: str) -> str:
        """Return a text of the content. Raises Permanent, naming the field, when there is none."""
        value = self.body().get(field)
        if not isinstance(value, str) or not value:
            raise Permanent(f"detail.eventBody.{field}: missing, or not text")
        return value


def read_any(envelope: Envelope) -> AnyEvent:
    """Read an event in either form: copies of it are known by what they contain."""
    content = _bytes(envelope.detail() if envelope.body is None else envelope.body)
    origin = timed(envelope, emitted_at(envelope), sha256(content).hexdigest())
    return AnyEvent(
        origin=origin,
        conversation_id=_conversation_id(content),
        content=content,
        whole=_bytes(envelope.whole),
    )


def any_events(types: str) -> EventType:
    """Declare events that are passed on as they come; `types`: the field with their globs."""
    return EventType(kind=AnyEvent, types=types, platform=read_any, reference=read_any)


def _bytes(text: Raw | str) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _conversation_id(content: bytes) -> str | None:
    body: object = json.decode(content)
    found = body.get(CONVERSATION) if isinstance(body, dict) else None
    return found if is_uuid(found) else None
