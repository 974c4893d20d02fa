"""What the four services differ in. They all take JSON by POST; some values have no type there.

https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from botocore.exceptions import ParamValidationError

_TABLE_ITEMS = ("Item", "Attributes", "LastEvaluatedKey")
"""Members of DynamoDB's answers that hold one item; `Items` holds several."""

_MOMENTS = ("startDate", "CreationTime", "LastModifiedTime")


def encoded(parameters: Mapping[str, Any]) -> bytes:
    """Return the body of a call; ParamValidationError when something in it is not JSON."""
    try:
        return orjson.dumps(parameters, default=_jsonable, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError as error:
        raise ParamValidationError(report=str(error)) from None


def unchanged(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that has no such values."""
    return answer


def queue_blobs_read(answer: dict[str, Any]) -> dict[str, Any]:
    """Decode the binary attributes of received messages, in place.

    One message of another shape must not cost those beside it, which are leased by now: what
    cannot be decoded is taken out, and judged by the reader of the message.
    """
    messages = answer.get("Messages")
    for message in messages if isinstance(messages, list) else ():
        attributes = message.get("MessageAttributes") if isinstance(message, dict) else None
        for attribute in attributes.values() if isinstance(attributes, dict) else ():
            if isinstance(attribute, dict) and "BinaryValue" in attribute:
                _read_blob(attribute)
    return answer


def _read_blob(attribute: dict[str, Any]) -> None:
    try:
        attribute["BinaryValue"] = b64decode(attribute["BinaryValue"])
    except (TypeError, ValueError):
        del attribute["BinaryValue"]


def table_blobs_read(answer: dict[str, Any]) -> dict[str, Any]:
    """Decode the binary attributes of items, in place."""
    for member in _TABLE_ITEMS:
        _read_item(answer.get(member, {}))
    for item in answer.get("Items", ()):
        _read_item(item)
    return answer


def moments_read(answer: dict[str, Any]) -> dict[str, Any]:
    """Read seconds since the epoch as moments, in place."""
    for member in _MOMENTS:
        if member in answer:
            answer[member] = datetime.fromtimestamp(answer[member], UTC)
    return answer


def _read_item(item: dict[str, Any]) -> None:
    for attribute in item.values():
        _read_attribute(attribute)


def _read_attribute(attribute: dict[str, Any]) -> None:
    match attribute:
        case {"B": blob}:
            attribute["B"] = b64decode(blob)
        case {"BS": blobs}:
            attribute["BS"] = [b64decode(blob) for blob in blobs]
        case {"M": members}:
            _read_item(members)
        case {"L": members}:
            for member in members:
                _read_attribute(member)


def _jsonable(value: object) -> object:
    """Return what JSON can hold in place of a value that it cannot; orjson asks for those only."""
    match value:
        case bytes() | bytearray() | memoryview():
            return b64encode(value).decode()
        case datetime():
            # Without a zone it is UTC: so does the SDK, which cuts off fractions before 1.43.
            whole = int(value.replace(tzinfo=value.tzinfo or UTC, microsecond=0).timestamp())
            # Divided once, so rounded once.
            return (whole * 10**6 + value.microsecond) / 10**6 if value.microsecond else whole
    raise TypeError


Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One service."""

    service: str
    """The name of its client."""

    signing_name: str
    target_prefix: str
    content_type: str = "application/x-amz-json-1.0"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request; lower case."""

    read: Callable[[Answer], Answer] = unchanged
    """Makes richer types of an answer, or of the fields of an error, in place."""


SQS = Dialect(
    service="sqs",
    signing_name="sqs",
    target_prefix="AmazonSQS",
    # Asks for the error codes of old, which the worker's rules and the SDK's clients know.
    headers={"x-amzn-query-mode": "true"},
    read=queue_blobs_read,
)
DYNAMODB = Dialect(
    service="dynamodb",
    signing_name="dynamodb",
    target_prefix="DynamoDB_20120810",
    read=table_blobs_read,
)
STEP_FUNCTIONS = Dialect(
    service="stepfunctions",
    signing_name="states",
    target_prefix="AWSStepFunctions",
    read=moments_read,
)
EVENTS = Dialect(
    service="events",
    signing_name="events",
    target_prefix="AWSEvents",
    content_type="application/x-amz-json-1.1",
    read=moments_read,
)


def dialect_of(service: str) -> Dialect | None:
    """Return how to speak to a service; None for those that are the SDK's."""
    known = (SQS, DYNAMODB, STEP_FUNCTIONS, EVENTS)
    return next((dialect for dialect in known if dialect.service == service), None)
