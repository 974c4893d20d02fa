"""The body of an SQS message, opened: whatever put the event there, one `Envelope` comes out.

Four forms are read: the classic EventBridge event; its bare `detail`, when the rule has
`InputPath: "$.detail"`; the custom event bus of 2026 with `Data`, `Metadata` and `SystemMetadata`
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-addressing.html); and any
of them inside the notification of an SNS topic
(https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html).

The body is parsed once; what Genesys put into `detail.eventBody` is skipped and left to the job.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType, field, json

from worker.errors import Permanent
from worker.events.fields import UUID, Wire, decoder, read_time_if_any

MAX_BYTES = 1_048_576
"""What SQS and EventBridge carry at most."""

MAX_CONTAINERS = 50_000
"""Lists and objects in a body: a megabyte of `[]` takes 0.1 s to build, and events have dozens."""

MAX_LABEL_LENGTH = 256
"""Of a `detail-type`, source or id. EventBridge allows 128 for a type; a topic with two real ids is
longer."""

_ID_PART = re.compile(rf"(?<![^.]){UUID.pattern}(?![^.])")
"""An id that is a whole part of a dotted type."""

_PARTNER = re.compile(r"aws\.partner/genesys\.com/cloud/([.\w-]+)/[./\w-]+", re.ASCII)
"""What Genesys names its event sources: the organization, then a suffix of the customer's."""

MAX_KNOWN = 256
"""A worker gets a handful; a sender of ever new ones only makes them be forgotten."""

_known: dict[tuple[object, object], tuple[str, str | None]] = {}
"""Checked types without an id in them, and the organization, by type and source."""

T = TypeVar("T")


class Envelope(Struct, frozen=True, kw_only=True, gc=False):
    """An event before anybody knows what it means."""

    detail_type: str
    """With `{id}` in place of every id; printable, at most MAX_LABEL_LENGTH characters."""

    body: Raw | None
    """`detail.eventBody`, not parsed yet; None in the flat form."""

    whole: Raw | str
    """The event, or its bare `detail`: where `detail` is found."""

    timestamp: Any = None
    """`detail.timestamp` as it came: when Genesys emitted the event."""

    id: str | None = None
    """None for a bare `detail`, which has no envelope, and for one that cannot stand in a log."""

    sent: Any = None
    """`time` as it came."""

    correlation_id: str | None = None
    replayed: bool = False
    organization_id: str | None = None
    """From `source`, in lower case; None when it names no Genesys organization."""

    is_bare: bool = False

    @property
    def time(self) -> datetime | None:
        """When the bus took the event, in UTC; None when it does not say.

        Read when it is asked for: most events carry a time of their own.
        """
        return read_time_if_any(self.sent)

    def detail(self) -> Raw | str:
        """Return `detail`, not parsed yet: a second pass, for jobs that need all of it."""
        return self.whole if self.is_bare else _detail(self.whole).detail

    def __repr__(self) -> str:
        return f"Envelope(detail_type={self.detail_type!r}, id={self.id!r})"


class _Frame(Wire):
    """`detail` as Genesys sends it; all of it is absent in the flat form."""

    topic_name: Any = None
    event_body: Raw | UnsetType = UNSET
    metadata: Any = None
    timestamp: Any = None


_Detail = _Frame | list[Any] | str | int | float | bool | UnsetType | None


class _Event(Struct, gc=False):
    """A classic event, or the marks of another form."""

    detail: _Detail = UNSET
    detail_type: Any = field(default=None, name="detail-type")
    id: Any = None
    time: Any = None
    source: Any = None
    replay_name: Any = field(default=None, name="replay-name")
    topic_name: Raw | UnsetType = field(default=UNSET, name="topicName")
    event_body: Raw | UnsetType = field(default=UNSET, name="eventBody")
    system_metadata: Any = field(default=UNSET, name="SystemMetadata")
    metadata: Any = field(default=None, name="Metadata")
    data: Raw | UnsetType = field(default=UNSET, name="Data")
    type: Any = field(default=None, name="Type")
    message: Any = field(default=None, name="Message")


class _Whole(Struct, gc=False):
    detail: Raw


_event = decoder(_Event)
_frame = decoder(_Frame)
_detail = decoder(_Whole)


def open_envelope(body: str | bytes) -> Envelope:
    """Open a body; Permanent names the field at fault, never its value."""
    text = (
        body  # a short text passes the gates
        if isinstance(body, str) and len(body) <= MAX_CONTAINERS
        else _gated(body, "body")
    )
    event = parse(_event, text, "body")
    if event.type == "Notification" and isinstance(event.message, str):
        text = _gated(event.message, "Message")
        event = parse(_event, text, "Message")
    if event.data is not UNSET and event.system_metadata is not UNSET:
        return _from_custom_bus(event, event.data)
    if event.topic_name is not UNSET and event.event_body is not UNSET:
        return _sealed(_Event(detail=parse(_frame, text, "body")), text, is_bare=True)
    return _sealed(event, text)


def parse(decode: Callable[[Raw | str], T], text: Raw | str, at: str, null: str = "missing") -> T:
    """Parse an object found at the path `at`; else Permanent. `null`: the reason for a null."""
    try:
        return decode(text)
    # The recursion is Python's own limit: JSON nested some hundred deep is no real event.
    except (MsgspecError, UnicodeError, RecursionError):
        pass
    # Raised out here, so that no traceback reaches the text through `__context__`.
    raise Permanent(_fault(text, at, null))


def _fault(text: Raw | str, at: str, null: str) -> str:
    try:
        value = bytes(json.decode(text, type=Raw))
    except (MsgspecError, UnicodeError, RecursionError):
        return f"{at}: not JSON"
    if value == b"null":
        return f"{at}: {null}"
    # An object that is none to the decoder holds an integer of thousands of digits.
    return "body: not JSON" if value.startswith(b"{") else f"{at}: not an object"


def _gated(body: str | bytes, at: str) -> str:
    """Return the text; the gates come first, as parsing is what a hostile body makes expensive."""
    if (
        len(body) > MAX_CONTAINERS
    ):  # a shorter one can break neither, however many bytes a character
        raw = body.encode(errors="surrogatepass") if isinstance(body, str) else body
        if len(raw) > MAX_BYTES:
            raise Permanent(f"{at}: larger than 1 MiB")
        if _number_of(b"[", raw) + _number_of(b"{", raw) > MAX_CONTAINERS:
            raise Permanent(f"{at}: too many lists and objects")
    if isinstance(body, str):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        pass
    raise Permanent(f"{at}: not JSON")


def _number_of(byte: bytes, raw: bytes) -> int:
    # Not `count`, which reads every byte: `replace` leaps from one to the next, and took a
    # quarter of the time on an event of 200 KB.
    return len(raw) - len(raw.replace(byte, b""))


def _from_custom_bus(outer: _Event, data: Raw) -> Envelope:
    """Rearrange the three parts as the fields of a classic event."""
    whole = _data(data)
    event = parse(_event, whole, "Data")
    metadata = _object(outer.metadata or {}, "Metadata")
    system = _object(outer.system_metadata, "SystemMetadata")
    is_bare = event.detail is UNSET
    if is_bare:
        event = _Event(detail=parse(_frame, whole, "Data"))
    event.detail_type = (
        event.detail_type
        or _topic_of(event)
        or metadata.get("detail-type")
        or system.get("aws:DetailType")
    )
    event.id = system.get("aws:EventId") or event.id
    event.time = event.time or system.get("aws:IngestionTime")
    event.replay_name = system.get("aws:DeliveryType") == "REPLAY" or event.replay_name
    return _sealed(event, whole, is_bare=is_bare)


def _data(data: Raw) -> Raw | str:
    """Return an event that came as an object or as text."""
    return _gated(json.decode(data, type=str), "Data") if bytes(data)[:1] == b'"' else data


def _topic_of(event: _Event) -> Any:
    detail = event.detail
    return detail.topic_name if isinstance(detail, _Frame) else None


# Not by name only: Python 3.11 takes 1.6 times as long for such a call, which each message needs.
def _sealed(event: _Event, whole: Raw | str, is_bare: bool = False) -> Envelope:  # noqa: FBT001, FBT002
    frame = event.detail
    kind = event.detail_type or _topic_of(event)
    try:
        detail_type, organization_id = _known[kind, event.source]
    except (KeyError, TypeError):  # a list is no key
        detail_type, organization_id = _named(kind, event.source)
    if not isinstance(frame, _Frame):
        absent = frame is None or frame is UNSET
        raise Permanent("detail: missing" if absent else "detail: not an object")
    metadata = frame.metadata
    return Envelope(
        detail_type=detail_type,
        body=None if frame.event_body is UNSET else frame.event_body,
        whole=whole,
        timestamp=frame.timestamp,
        id=_label_if_any(event.id),
        sent=event.time,
        # What Genesys support asks for; no reason to refuse an event, so None when odd.
        correlation_id=_label_if_any(metadata.get("CorrelationId"))
        if isinstance(metadata, dict)
        else None,
        replayed=bool(event.replay_name),
        organization_id=organization_id,
        is_bare=is_bare,
    )


def _named(detail_type: object, source: object) -> tuple[str, str | None]:
    """Return a `detail-type`, checked, with `{id}` in place of every id; and the organization."""
    text = source if isinstance(source, str) else None
    label = _label(detail_type, "detail-type")
    organization_id = organization_of(text or "")
    # Without a hyphen there is no id in it: such types are few, and remembered with their source.
    if "-" in label:
        return _ID_PART.sub("{id}", label), organization_id
    if len(text or "") <= MAX_LABEL_LENGTH:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[label, text] = label, organization_id
    return label, organization_id


def organization_of(source: str) -> str | None:
    """Return the Genesys organization that an event source names."""
    named = _PARTNER.fullmatch(source) if len(source) <= MAX_LABEL_LENGTH else None
    return None if named is None else named[1].lower()


def _object(value: object, at: str) -> Mapping[str, Any]:
    if value is None:
        raise Permanent(f"{at}: missing")
    if not isinstance(value, dict):
        raise Permanent(f"{at}: not an object")
    return value


def _label(value: object, at: str) -> str:
    """Check a text that will stand in logs."""
    if isinstance(value, str) and 0 < len(value) <= MAX_LABEL_LENGTH and value.isprintable():
        return value
    if value is None:
        raise Permanent(f"{at}: missing")
    if not isinstance(value, str) or not value.isprintable():
        raise Permanent(f"{at}: not printable text")
    raise Permanent(f"{at}: empty or too long")


def _label_if_any(value: object) -> str | None:
    if isinstance(value, str) and value and len(value) <= MAX_LABEL_LENGTH and value.isprintable():
        return value
    return None
