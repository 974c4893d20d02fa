"""What SQS's service model names: its errors, the attributes of a queue, a message.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import md5
from typing import NamedTuple, Self

import orjson

_MODEL = "com.amazonaws.sqs#"
_COMMON = "com.amazon.coral.service#"
_LEGACY = "AWS.SimpleQueueService."

# Shape in `__type` → code in the header `x-amzn-query-error`; a shape not listed is its own code.
_QUERY_CODES = {
    "QueueDoesNotExist": _LEGACY + "NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
    "AccessDeniedException": "AccessDenied",
    "InternalFailure": "InternalError",
} | {
    shape: _LEGACY + shape
    for shape in (
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidBatchEntryId",
        "MessageNotInflight",
        "PurgeQueueInProgress",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
    )
}


class SqsError(Exception):
    """An answer of SQS that is an error; `shape` is its name in the service model."""

    def __init__(self, shape: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{shape}: {message}")
        self.shape = shape
        self.message = message
        self.status = status

    @property
    def code(self) -> str:
        """Return the query-protocol code: what botocore shows as `Error.Code`."""
        return _QUERY_CODES.get(self.shape, self.shape)

    @property
    def type(self) -> str:
        """Return the value of `__type` in the body."""
        common = self.shape.endswith("Exception") and self.shape != "ResourceNotFoundException"
        return (_COMMON if common else _MODEL) + self.shape

    @property
    def sender_fault(self) -> bool:
        """Return True when the caller is to blame."""
        return self.status < 500


def access_denied(action: str, queue: str) -> SqsError:
    """Return what a policy without the action of IAM makes of a call."""
    principal = "arn:aws:sts::000000000000:assumed-role/worker/i-0123456789abcdef0"
    resource = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    return SqsError(
        "AccessDeniedException",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action",
        status=403,
    )


def queue_does_not_exist() -> SqsError:
    """Return the error for an unknown queue name or URL."""
    return SqsError("QueueDoesNotExist", "The specified queue does not exist.")


def invalid_value(value: object, parameter: str, reason: str) -> SqsError:
    """Return the error for a parameter that is out of bounds or does not fit the queue."""
    return SqsError(
        "InvalidParameterValueException",
        f"Value {value} for parameter {parameter} is invalid. Reason: {reason}",
    )


def missing(parameter: str) -> SqsError:
    """Return the error for a parameter that must be there."""
    return SqsError(
        "MissingRequiredParameterException", f"The request must contain the parameter {parameter}."
    )


def receipt_handle_is_invalid() -> SqsError:
    """Return the error for a receipt handle that this queue never gave out."""
    return SqsError("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")


def receipt_handle_expired(handle: str) -> SqsError:
    """Return what a FIFO queue answers to a handle whose lease is over."""
    return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


MAXIMUM_BYTES = 1_048_576
"""Largest message and largest batch, attributes counted (256 KiB until August 2025)."""

MAXIMUM_VISIBILITY_SECONDS = 43_200

_RANGES = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1024, MAXIMUM_BYTES),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, MAXIMUM_VISIBILITY_SECONDS),
}
_FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
_DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": str(MAXIMUM_BYTES),
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}
_FREE = {"KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "RedrivePolicy"}
SETTABLE = frozenset(_RANGES) | _FREE | frozenset(_FIFO_DEFAULTS) | {"SqsManagedSseEnabled"}


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """When a message goes to the dead-letter queue, and to which."""

    dead_letter_target_arn: str
    max_receive_count: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the policy; None for the empty text that takes it away."""
        if not text:
            return None
        try:
            policy = orjson.loads(text)
            parsed = cls(str(policy["deadLetterTargetArn"]), int(policy["maxReceiveCount"]))
        except (ValueError, KeyError, TypeError) as error:
            raise invalid_value(text, "RedrivePolicy", "Not a redrive policy.") from error
        if not 1 <= parsed.max_receive_count <= 1000:
            raise invalid_value(text, "RedrivePolicy", "Invalid value for maxReceiveCount.")
        return parsed


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """The attributes of one queue, checked; the numbers are read once, not at each message."""

    values: Mapping[str, str]
    visibility_seconds: int
    delay_seconds: int
    maximum_bytes: int
    wait_seconds: int
    redrive_policy: RedrivePolicy | None

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Self:
        """Return the defaults overlaid with what is given.

        Raises:
            SqsError: `InvalidAttributeName`, `InvalidAttributeValue` or a bad redrive policy.

        """
        for name, value in given.items():
            _check(name, value)
        fifo = given.get("FifoQueue") == "true"
        values = {**_DEFAULTS, **(_FIFO_DEFAULTS if fifo else {}), **given}
        return cls(
            values={name: value for name, value in values.items() if value},
            visibility_seconds=int(values["VisibilityTimeout"]),
            delay_seconds=int(values["DelaySeconds"]),
            maximum_bytes=int(values["MaximumMessageSize"]),
            wait_seconds=int(values["ReceiveMessageWaitTimeSeconds"]),
            redrive_policy=RedrivePolicy.parse(values.get("RedrivePolicy", "")),
        )

    def changed(self, given: Mapping[str, str]) -> "QueueAttributes":
        """Return these attributes with some set anew.

        Raises:
            SqsError: as `parse`, or an attempt to change the type of the queue.

        """
        if given.get("FifoQueue", self.values.get("FifoQueue")) != self.values.get("FifoQueue"):
            raise SqsError("InvalidAttributeValue", "FifoQueue cannot be changed.")
        return QueueAttributes.parse({**self.values, **given})

    @property
    def fifo(self) -> bool:
        """Return True for a FIFO queue."""
        return "FifoQueue" in self.values

    @property
    def content_based_deduplication(self) -> bool:
        """Return True when the body's hash stands in for a missing deduplication id."""
        return self.values.get("ContentBasedDeduplication") == "true"

    @property
    def deduplicates_per_group(self) -> bool:
        """Return True when equal deduplication ids of two groups are two messages."""
        return self.values.get("DeduplicationScope") == "messageGroup"


def _check(name: str, value: str) -> None:
    if name not in SETTABLE:
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")
    if name == "FifoQueue" and value != "true":
        # A standard queue is one without this attribute: SQS refuses "false" as well.
        raise SqsError("InvalidAttributeName", "Unknown Attribute FifoQueue.")
    if name in _RANGES:
        low, high = _RANGES[name]
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


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
    """The producer's reply; for a duplicate, the first message's."""

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
