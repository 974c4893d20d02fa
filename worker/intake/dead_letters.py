"""Dead letters: the copy with its failure record, and how a copy is read back.

SQS takes 1 MiB of body and attributes together, and ten attributes. A message that was sent may
use up all of that, and its copy on the dead-letter queue carries the failure record besides: so
what does not fit is encoded.
"""

import gzip
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import orjson
import structlog
from msgspec import Struct
from msgspec.structs import replace

from worker import __version__
from worker.clients.aws import Message, Queue, QueueError
from worker.intake.outcome import Attempt, Failure
from worker.telemetry import metrics

RECORD_ATTRIBUTE = "worker.failure"
"""The message attribute with the failure record: why the message was dead-lettered."""

BODY_ATTRIBUTE = "worker.body"
"""The message attribute with a body that fits nowhere else."""

FOLDED_ATTRIBUTE = "worker.attributes"
"""The message attribute with those of the message that would be too many, or too long."""

OWN_ATTRIBUTES = frozenset({RECORD_ATTRIBUTE, BODY_ATTRIBUTE, FOLDED_ATTRIBUTE})

GZIP_TEXT = "gzip+base64"
"""`bodyEncoding` of a body that is compressed and still the body, as text."""

GZIP_ATTRIBUTE = "attribute+gzip"
"""`bodyEncoding` of a body that is compressed and in `BODY_ATTRIBUTE`, as bytes.

Never uncompressed: a body is UTF-8 of characters that SQS allows, which have less than 7.75 bits a
byte. So even what is random shrinks by 3 %, and that is twice what the record needs.
"""

PLACEHOLDER = f"The body is in the message attribute {BODY_ATTRIBUTE}, compressed by gzip."
"""In place of a body that is in `BODY_ATTRIBUTE`: SQS takes no empty body."""

MAX_BYTES = 1_048_576
"""Of a message: its body, and the names, types and values of its attributes."""

MAX_ATTRIBUTES = 10

RECORD_BYTES = 16_384
"""Kept free for the failure record, its name and its type."""

Attribute = Mapping[str, Any]
Attributes = Mapping[str, Attribute]


class EncodedBody(Struct, frozen=True):
    """A message as its copy carries it; the failure record is still to be added."""

    text: str
    """`MessageBody` of the copy."""

    attributes: dict[str, Attribute]
    """`MessageAttributes` of the copy, nine at most."""

    record: dict[str, Any]
    """What the failure record has to say of it: the fields that `decode_body` reads."""

    @property
    def bytes(self) -> int:
        """What SQS counts, without the record."""
        return bytes_of(self.text, self.attributes)


class DecodedBody(NamedTuple):
    """A message as it was."""

    body: str
    attributes: dict[str, Attribute]
    """As SendMessage takes them; those that were dropped are missing."""


def encode_body(body: str, attributes: Attributes, *, reserved: int = RECORD_BYTES) -> EncodedBody:
    """Return the message in a form that leaves `reserved` bytes and one attribute for the record.

    Attributes that do not fit, even compressed, are dropped, the longest first; the record names
    them. The body is never dropped. The same message gives the same result.
    """
    forms, max_bytes = _Forms(body), MAX_BYTES - reserved
    kept, dropped = sendable(attributes), list[str]()
    form = forms.first_within(max_bytes, kept)
    while kept and form.bytes > max_bytes:
        longest = max(kept, key=lambda name: bytes_of("", {name: kept[name]}))
        dropped.append(longest)
        del kept[longest]
        form = forms.first_within(max_bytes, kept)
    if dropped:
        form.record["attributesDropped"] = sorted(dropped)
    return form


def decode_body(body: str, attributes: Attributes, record: Mapping[str, Any]) -> DecodedBody:
    """Return the message as it was before `encode_body`. Raises ValueError.

    `record` is the failure record. It comes from a queue, so it may say what is not so.
    """
    decoded = sendable(attributes)
    if record.get("attributesFolded"):
        decoded |= _unfolded(_binary(attributes, FOLDED_ATTRIBUTE))
    encoding = record.get("bodyEncoding")
    if encoding == GZIP_TEXT:
        body = _unzipped(b64decode(body, validate=True)).decode()
    elif encoding == GZIP_ATTRIBUTE:
        body = _unzipped(_binary(attributes, BODY_ATTRIBUTE)).decode()
    elif encoding is not None:
        raise ValueError("unknown bodyEncoding")
    return DecodedBody(body, decoded)


def sendable(attributes: Attributes) -> dict[str, Attribute]:
    """Return what SendMessage takes of what ReceiveMessage gave, without those of our own."""
    wanted = ("DataType", "StringValue", "BinaryValue")
    return {
        name: {key: value for key, value in attribute.items() if key in wanted}
        for name, attribute in attributes.items()
        if name not in OWN_ATTRIBUTES
    }


def bytes_of(text: str, attributes: Attributes) -> int:
    """Return what SQS counts: the body, and the names, types and values of the attributes."""
    texts = (text for name, value in attributes.items() for text in (name, *value.values()))
    return len(text.encode()) + sum(
        len(text if isinstance(text, bytes) else text.encode()) for text in texts
    )


class _Forms:
    """The forms of one message, each made when it is asked for."""

    def __init__(self, body: str) -> None:
        self._body = body

    @cached_property
    def _zipped(self) -> bytes:
        return _zip(self._body.encode())

    def first_within(self, max_bytes: int, kept: Attributes) -> EncodedBody:
        """Return the plainest form of at most so many bytes; if there is none, the shortest."""
        for form in self._with(kept):
            if form.bytes <= max_bytes:
                break
        return form

    def _with(self, kept: Attributes) -> Iterator[EncodedBody]:
        """Yield the forms with these attributes, the plainest first, the shortest last."""
        most = MAX_ATTRIBUTES - 1
        yield _form(self._body, {}, kept, most)
        text = b64encode(self._zipped).decode()
        yield _form(text, {}, kept, most, GZIP_TEXT)
        own = {BODY_ATTRIBUTE: {"DataType": "Binary", "BinaryValue": self._zipped}}
        yield _form(PLACEHOLDER, own, kept, most - 1, GZIP_ATTRIBUTE)
        yield _form(PLACEHOLDER, own, kept, 0, GZIP_ATTRIBUTE)


def _form(
    text: str, own: Attributes, kept: Attributes, most: int, encoding: str | None = None
) -> EncodedBody:
    """Return a form with at most so many attributes as they are, the others folded into one."""
    names = list(kept)
    plain = len(names) if len(names) <= most else max(0, most - 1)
    record: dict[str, Any] = {"bodyEncoding": encoding} if encoding else {}
    attributes = {name: kept[name] for name in names[:plain]} | dict(own)
    if folded := names[plain:]:
        record["attributesFolded"] = folded
        value = _folded({name: kept[name] for name in folded})
        attributes[FOLDED_ATTRIBUTE] = {"DataType": "Binary", "BinaryValue": value}
    return EncodedBody(text, attributes, record)


def _folded(attributes: Attributes) -> bytes:
    # Bytes are the only values that JSON does not know.
    return _zip(orjson.dumps(attributes, default=lambda value: [b64encode(value).decode()]))


def _unfolded(content: bytes) -> dict[str, Attribute]:
    found = orjson.loads(_unzipped(content))
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ValueError("not attributes")
    return sendable({name: _with_bytes(one) for name, one in found.items()})


def _with_bytes(attribute: Attribute) -> Attribute:
    match attribute:
        case {"BinaryValue": [str(text)]}:
            return {**attribute, "BinaryValue": b64decode(text, validate=True)}
    return attribute


def _binary(attributes: Attributes, name: str) -> bytes:
    value = attributes.get(name, {}).get("BinaryValue")
    if not isinstance(value, bytes):
        raise ValueError(f"no bytes in {name}")  # noqa: TRY004  of a message, not of a caller
    return value


def _zip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _unzipped(content: bytes) -> bytes:
    # Bounded: anyone who may send to the queue could exhaust the memory otherwise.
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = stream.decompress(content, 4 * MAX_BYTES)
    except zlib.error as error:
        raise ValueError("not compressed") from error
    if not stream.eof or stream.unused_data:
        raise ValueError("not compressed as a whole")
    return found


log = structlog.get_logger(__name__)


class DeadLetters:
    """Copies messages that cannot succeed to the dead-letter queue."""

    def __init__(self, queue: Queue, url: str | None) -> None:
        self._queue = queue
        self._url = url
        self.problem: str | None = None
        """Why the last copy was not taken; None when it was."""

    async def send(self, message: Message, failure: Failure, attempt: Attempt) -> bool:
        """Copy the message with its reason; False when that failed: it must not be deleted then."""
        if self._url is None:
            return self._refused(failure, "SQS_DEAD_LETTER_QUEUE_URL is not set")
        try:
            copy = _copy(message, failure, attempt, self._queue.url, self._url)
            await self._queue.send_to(self._url, **copy)
        except QueueError as error:
            return self._refused(failure, error.code)
        self.problem = None
        metrics.messages_dead_lettered.labels(failure.error_class).inc()
        log.warning(
            "message_dead_lettered",
            reason=failure.reason,
            fingerprint=failure.fingerprint,
            job=failure.job,
        )
        return True

    def _refused(self, failure: Failure, cause: str) -> bool:
        self.problem = cause
        metrics.dead_letter_failures.inc()
        log.error("message_not_dead_lettered", reason=failure.reason, cause=cause)
        return False


def _copy(
    message: Message, failure: Failure, attempt: Attempt, queue: str, dead_letters: str
) -> dict[str, Any]:
    encoded = encode_body(message.body, message.attributes)
    record = {
        "reason": failure.reason,
        "errorClass": failure.error_class,
        "fingerprint": failure.fingerprint,
        "job": failure.job,
        "queue": queue,
        "messageId": message.id,
        "attempts": attempt.all,
        "receiveCount": message.receive_count,
        "firstFailure": _iso(attempt.first_failure),
        "lastFailure": _iso(attempt.last_failure),
        "sentAt": _iso(message.sent_at),
        "codeVersion": __version__,
        **encoded.record,
    }
    record_attribute = {"DataType": "String", "StringValue": orjson.dumps(record).decode()}
    copy: dict[str, Any] = {
        "MessageBody": encoded.text,
        "MessageAttributes": {**encoded.attributes, RECORD_ATTRIBUTE: record_attribute},
    }
    copy |= traced(message)
    if message.group_id is not None:  # FIFO order, or the tenant of a fair queue
        copy["MessageGroupId"] = message.group_id
    # The same on every attempt: a copy that was sent but not confirmed is sent once.
    if dead_letters.endswith(".fifo"):
        copy["MessageDeduplicationId"] = message.id
    return copy


def restored(message: Message) -> Message:
    """Return a message as it was before it was dead-lettered; as it is, if that cannot be read."""
    text = message.attributes[RECORD_ATTRIBUTE].get("StringValue", "")
    try:
        record = orjson.loads(text)
        body, attributes = decode_body(message.body, message.attributes, record)
    except (ValueError, AttributeError):
        return message
    return replace(message, body=body, attributes=attributes)


def traced(message: Message) -> dict[str, Any]:
    """Return what SendMessage takes to send the trace on: the one system attribute it takes."""
    header = message.cause.trace_header
    if header is None:
        return {}
    trace = {"DataType": "String", "StringValue": header}
    return {"MessageSystemAttributes": {"AWSTraceHeader": trace}}


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
