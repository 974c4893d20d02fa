"""The body of an SQS message, opened: whatever put the event there, one `Envelope` comes out.

Three forms are read: the classic EventBridge event; its bare `detail`, when the rule has
`InputPath: "$.detail"`; and the custom event bus of 2026 with `Data`, `Metadata` and
`SystemMetadata` (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-addressing.html).
"""

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

import orjson

from tests.oracle.fields import UUID, instant
from tests.oracle.record import record
from worker.errors import Permanent

MAX_BYTES = 1_048_576
"""What SQS and EventBridge carry at most."""

MAX_CONTAINERS = 50_000
"""Lists and objects in a body: a megabyte of `[]` takes 0.1 s to build, and events have dozens."""

MAX_LABEL_LENGTH = 256
"""Of a `detail-type` or id. EventBridge allows 128; a topic with two real ids is longer."""

_ID_PART = re.compile(rf"(?<![^.]){UUID.pattern}(?![^.])")
"""An id that is a whole part of a dotted type."""


@record
class Envelope:
    """An event before anybody knows what it means."""

    detail_type: str
    """With `{id}` in place of every id; printable, at most MAX_LABEL_LENGTH characters."""

    detail: Mapping[str, Any] = field(repr=False)
    id: str | None = None
    """None for a bare `detail`, which has no envelope."""

    time: datetime | None = None
    """When the bus took the event, in UTC."""

    correlation_id: str | None = None
    replayed: bool = False


def open_envelope(body: str | bytes) -> Envelope:
    """Open a body; Permanent names the field at fault, never its value."""
    content = _object(_json(body, "body"), "body")
    if "SystemMetadata" in content and "Data" in content:
        return _sealed(_from_custom_bus(content))
    if "topicName" in content and "eventBody" in content:
        return _sealed({"detail": content})
    return _sealed(content)


def _json(body: str | bytes, at: str) -> Any:
    """Parse; the gates come first, as parsing is what a hostile body makes expensive."""
    text = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    if len(text) > MAX_BYTES:
        raise Permanent(f"{at}: larger than 1 MiB")
    if len(text) > MAX_CONTAINERS < text.count(b"[") + text.count(b"{"):
        raise Permanent(f"{at}: too many lists and objects")
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    # Raised out here: a JSONDecodeError carries the whole document.
    raise Permanent(f"{at}: not JSON")


def _from_custom_bus(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rearrange the three parts as the fields of a classic event."""
    data = content["Data"]
    data = _object(_json(data, "Data") if isinstance(data, str) else data, "Data")
    metadata = _object(content.get("Metadata") or {}, "Metadata")
    system = _object(content["SystemMetadata"], "SystemMetadata")
    event = data if "detail" in data else {"detail": data}
    return {
        "detail": event["detail"],
        "detail-type": _type_of(event)
        or metadata.get("detail-type")
        or system.get("aws:DetailType"),
        "id": system.get("aws:EventId") or event.get("id"),
        "time": event.get("time") or system.get("aws:IngestionTime"),
        "replay-name": system.get("aws:DeliveryType") == "REPLAY" or event.get("replay-name"),
    }


def _type_of(event: Mapping[str, Any]) -> Any:
    detail = event.get("detail")
    topic = detail.get("topicName") if isinstance(detail, dict) else None
    return event.get("detail-type") or topic


def _sealed(event: Mapping[str, Any]) -> Envelope:
    detail_type = _label(_type_of(event), "detail-type")
    detail = _object(event.get("detail"), "detail")
    sent = event.get("time")
    return Envelope(
        # Most types have no id, and no hyphen either: looking for one costs a tenth of the pattern.
        detail_type=_ID_PART.sub("{id}", detail_type) if "-" in detail_type else detail_type,
        detail=detail,
        id=None if event.get("id") is None else _label(event["id"], "id"),
        time=None if sent is None else _time(sent),
        correlation_id=_correlation_id(detail),
        replayed=bool(event.get("replay-name")),
    )


def _object(value: object, at: str) -> Mapping[str, Any]:
    if value is None:
        raise Permanent(f"{at}: missing")
    if not isinstance(value, dict):
        raise Permanent(f"{at}: not an object")
    return value


def _label(value: object, at: str) -> str:
    """Check a text that will stand in logs."""
    if value is None:
        raise Permanent(f"{at}: missing")
    if not isinstance(value, str) or not value.isprintable():
        raise Permanent(f"{at}: not printable text")
    if not 0 < len(value) <= MAX_LABEL_LENGTH:
        raise Permanent(f"{at}: empty or too long")
    return value


def _time(value: object) -> datetime:
    try:
        return instant(value)
    except ValueError as error:
        problem = str(error)
    raise Permanent(f"time: {problem}")


def _correlation_id(detail: Mapping[str, Any]) -> str | None:
    """Find what Genesys support asks for; no reason to refuse an event, so None when odd."""
    metadata = detail.get("metadata")
    value = metadata.get("CorrelationId") if isinstance(metadata, dict) else None
    readable = isinstance(value, str) and len(value) <= MAX_LABEL_LENGTH and value.isprintable()
    return value if readable else None
