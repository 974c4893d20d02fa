"""What may be sent: characters, attributes, sizes, and what fits which type of queue.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import base64
import binascii
import re
from typing import Any

from worker.emulators.sqs.attributes import QueueAttributes
from worker.emulators.sqs.errors import SqsError, invalid_value, missing
from worker.emulators.sqs.message import Attribute, Attributes, Sending
from worker.emulators.sqs.parameters import Parameters, optional_text, text, whole

MAXIMUM_ATTRIBUTES = 10

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!.*\.\.)(?!\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_TYPE = re.compile(r"(String|Number|Binary)(\.[^\x00-\x1f]{1,249})?")
_NOT_FOR_THIS_TYPE = "The request include parameter that is not valid for this queue type"


def read_sending(parameters: Parameters, queue: QueueAttributes) -> Sending:
    """Return what `SendMessage`, or one entry of its batch, asks to be kept.

    Raises:
        SqsError: SQS would refuse it.

    """
    sending = Sending(
        body=text(parameters, "MessageBody"),
        attributes=_read_attributes(parameters.get("MessageAttributes") or {}),
        delay_seconds=whole(parameters, "DelaySeconds", 0, 900),
        group_id=optional_text(parameters, "MessageGroupId"),
        deduplication_id=optional_text(parameters, "MessageDeduplicationId"),
        trace_header=_trace_header(parameters.get("MessageSystemAttributes") or {}),
    )
    _check_characters(sending.body, "message body")
    if size_of(sending) > queue.maximum_bytes:
        limit = f"Message must be shorter than {queue.maximum_bytes} bytes."
        raise _parameters_invalid(limit)
    (_check_fifo if queue.fifo else _check_standard)(sending, queue)
    return sending


def size_of(sending: Sending) -> int:
    """Return the bytes that count: body, and names, types and values of attributes."""
    return len(sending.body.encode()) + sum(
        len(name.encode()) + len(attribute.data_type.encode()) + len(attribute.encoded)
        for name, attribute in sending.attributes.items()
    )


def size_of_entry(parameters: Parameters) -> int:
    """Return the same of an entry of a batch that is not checked yet."""
    attributes: dict[str, dict[str, Any]] = parameters.get("MessageAttributes") or {}
    texts = [str(parameters.get("MessageBody") or ""), *attributes]
    for attribute in attributes.values():
        texts += [str(attribute.get("DataType") or ""), str(attribute.get("StringValue") or "")]
    binaries = [str(attribute.get("BinaryValue") or "") for attribute in attributes.values()]
    return sum(len(part.encode()) for part in texts) + sum(len(part) * 3 // 4 for part in binaries)


def _check_fifo(sending: Sending, queue: QueueAttributes) -> None:
    if sending.group_id is None:
        raise missing("MessageGroupId")
    if sending.deduplication_id is None and not queue.content_based_deduplication:
        raise SqsError(
            "InvalidParameterValueException",
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        )
    if sending.delay_seconds:
        raise invalid_value(sending.delay_seconds, "DelaySeconds", _NOT_FOR_THIS_TYPE)


def _check_standard(sending: Sending, _queue: QueueAttributes) -> None:
    # A group id is welcome: it makes a queue fair, and orders nothing.
    if sending.deduplication_id is not None:
        raise invalid_value(sending.deduplication_id, "MessageDeduplicationId", _NOT_FOR_THIS_TYPE)


def _read_attributes(given: dict[str, dict[str, Any]]) -> Attributes:
    if len(given) > MAXIMUM_ATTRIBUTES:
        count = f"Number of message attributes [{len(given)}]"
        raise _parameters_invalid(f"{count} exceeds the allowed maximum [{MAXIMUM_ATTRIBUTES}].")
    return {name: _read_attribute(name, value) for name, value in given.items()}


def _read_attribute(name: str, given: dict[str, Any]) -> Attribute:
    data_type = str(given.get("DataType") or "")
    if not _NAME.fullmatch(name):
        raise _parameters_invalid(f"The message attribute name '{name}' is invalid.")
    if not _TYPE.fullmatch(data_type):
        raise _parameters_invalid(f"The type of message attribute '{name}' is invalid.")
    value = _read_binary(given) if data_type.startswith("Binary") else given.get("StringValue")
    if not value:
        what = f"must contain a non-empty value of type '{data_type}'"
        raise _parameters_invalid(f"Message attribute '{name}' {what}.")
    if isinstance(value, str):
        _check_characters(value, f"message attribute '{name}'")
    return Attribute(data_type, value)


def _read_binary(given: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(given.get("BinaryValue") or "", validate=True)
    except (binascii.Error, TypeError) as error:
        raise SqsError("SerializationException", "BinaryValue is not base64.") from error


def _trace_header(given: dict[str, dict[str, Any]]) -> str | None:
    header = given.get("AWSTraceHeader")
    return str(header["StringValue"]) if header else None


def _check_characters(content: str, where: str) -> None:
    if refused := _REFUSED.search(content):
        raise SqsError(
            "InvalidMessageContents",
            f"Invalid binary character '#x{ord(refused[0]):X}' was found in the {where}, "
            "the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | "
            "#xE000 to #xFFFD | #x10000 to #x10FFFF",
        )


def _parameters_invalid(reason: str) -> SqsError:
    return SqsError(
        "InvalidParameterValueException", f"One or more parameters are invalid. Reason: {reason}"
    )
