"""A message as it is sent, as it is kept, and as it is given out."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import md5
from typing import NamedTuple

from worker.emulators.sqs.errors import receipt_handle_is_invalid


@dataclass(frozen=True, slots=True)
class Attribute:
    """A message attribute: `String` and `Number` hold text, `Binary` bytes."""

    data_type: str
    value: str | bytes

    @property
    def encoded(self) -> bytes:
        """Return the value as it counts for size and MD5."""
        return self.value if isinstance(self.value, bytes) else self.value.encode()


Attributes = Mapping[str, Attribute]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What a producer asks to be kept."""

    body: str
    attributes: Attributes = field(default_factory=dict)
    delay_seconds: int | None = None
    """None: the queue's own delay."""

    group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None
    """System attribute `AWSTraceHeader`; counts neither for size nor among the ten."""


class State(Enum):
    """Where a message is. It is in exactly one of these."""

    VISIBLE = "visible"
    IN_FLIGHT = "in_flight"
    DELAYED = "delayed"
    GONE = "gone"
    """Deleted, purged or moved to another queue."""


@dataclass(slots=True, eq=False)
class Message:
    """A message on a queue."""

    id: str
    sent: Sending
    sequence: int
    sent_at_milliseconds: int
    deduplication_id: str | None = None
    state: State = State.VISIBLE
    hidden_until: float | None = None
    """Clock seconds; None while visible."""

    received_at: float = 0.0
    """Clock seconds of the last receive: where the twelve hours of a lease start."""

    receives: int = 0
    first_received_at_milliseconds: int | None = None
    timer: int = 0
    """Number of the one timer that counts; older ones of this message are stale."""

    dead_letter_source_arn: str | None = None
    body_md5: str = ""

    def __post_init__(self) -> None:
        self.body_md5 = md5_of(self.sent.body.encode())

    @property
    def sequence_number(self) -> str:
        """Return the 20 digits SQS would call large and non-consecutive."""
        return str(18_850_000_000_000_000_000 + self.sequence * 256)


class Received(NamedTuple):
    """A message as one receive gives it out."""

    message: Message
    receipt_handle: str


class Sent(NamedTuple):
    """What the producer is told; for a duplicate, the first message's."""

    message_id: str
    sequence_number: str


class Receipt(NamedTuple):
    """What a receipt handle says to the queue that made it."""

    queue_name: str
    message_id: str
    receive: int

    def handle(self) -> str:
        """Return the opaque text given to the consumer."""
        return base64.b64encode("/".join(map(str, self)).encode()).decode()


def read_receipt(handle: str) -> Receipt:
    """Return what the handle says.

    Raises:
        SqsError: `ReceiptHandleIsInvalid`, it is not one of ours.

    """
    try:
        queue_name, message_id, receive = base64.b64decode(handle, validate=True).split(b"/")
        return Receipt(queue_name.decode(), message_id.decode(), int(receive))
    except (binascii.Error, ValueError) as error:
        raise receipt_handle_is_invalid() from error


def md5_of(content: bytes) -> str:
    """Return the hex digest SQS sends along, so that clients can see damage in transit."""
    return md5(content, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Attributes) -> str:
    """Return the digest of the attributes, encoded as AWS's developer guide has it.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    encoded = bytearray()
    for name in sorted(attributes):
        attribute = attributes[name]
        for part in (name.encode(), attribute.data_type.encode()):
            encoded += len(part).to_bytes(4, "big") + part
        value = attribute.encoded
        encoded += b"\x02" if isinstance(attribute.value, bytes) else b"\x01"
        encoded += len(value).to_bytes(4, "big") + value
    return md5_of(bytes(encoded))
