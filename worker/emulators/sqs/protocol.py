"""Requests read and checked as SQS does, and its answers: parameters, messages, batches.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.emulators.sqs.control import Injected, Journal
from worker.emulators.sqs.model import (
    MAXIMUM_BYTES,
    MAXIMUM_VISIBILITY_SECONDS,
    Attribute,
    Attributes,
    Message,
    QueueAttributes,
    Received,
    Sending,
    SqsError,
    invalid_value,
    md5_of_attributes,
    missing,
    read_receipt,
)
from worker.emulators.sqs.queue import Queue

Parameters = Mapping[str, Any]
"""The JSON object of a request, or of one entry of a batch."""


def text(parameters: Parameters, name: str) -> str:
    """Return a text that must be there."""
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise missing(name)
    return value


def optional_text(parameters: Parameters, name: str) -> str | None:
    """Return a text; None when it is not given."""
    return text(parameters, name) if parameters.get(name) is not None else None


def whole(parameters: Parameters, name: str, low: int, high: int) -> int | None:
    """Return a whole number within bounds; None when it is not given."""
    value = parameters.get(name)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise SqsError("SerializationException", f"{name} is not a number.") from error
    if not low <= number <= high:
        reason = f"Must be between {low} and {high}, if provided."
        raise invalid_value(value, name, reason)
    return number


def visibility(parameters: Parameters) -> int | None:
    """Return `VisibilityTimeout`; None when it is not given."""
    return whole(parameters, "VisibilityTimeout", 0, MAXIMUM_VISIBILITY_SECONDS)


def names(parameters: Parameters, *keys: str) -> frozenset[str]:
    """Return the union of lists of names; each may be absent."""
    return frozenset(str(name) for key in keys for name in parameters.get(key) or ())


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
    _check_sending(sending, queue)
    return sending


def _check_sending(sending: Sending, queue: QueueAttributes) -> None:
    _check_characters(sending.body, "message body")
    if size_of(sending) > queue.maximum_bytes:
        limit = f"Message must be shorter than {queue.maximum_bytes} bytes."
        raise _parameters_invalid(limit)
    (_check_fifo if queue.fifo else _check_standard)(sending, queue)


def size_of(sending: Sending) -> int:
    """Return the bytes that count: body, and names, types and values of attributes."""
    return len(sending.body.encode()) + sum(
        len(name.encode()) + len(attribute.data_type.encode()) + len(attribute.encoded)
        for name, attribute in sending.attributes.items()
    )


def _size_of_entry(parameters: Parameters) -> int:
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


MAXIMUM_ENTRIES = 10

_ID = re.compile(r"[\w-]{1,80}", re.ASCII)


def read_entries(parameters: Parameters) -> list[dict[str, Any]]:
    """Return the entries of a batch.

    Raises:
        SqsError: none, more than ten, or ids that are malformed or not distinct.

    """
    entries: list[dict[str, Any]] = parameters.get("Entries") or []
    if not entries:
        raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > MAXIMUM_ENTRIES:
        limit = f"Maximum number of entries per request are {MAXIMUM_ENTRIES}."
        raise SqsError("TooManyEntriesInBatchRequest", f"{limit} You have sent {len(entries)}.")
    _check_ids([str(entry.get("Id", "")) for entry in entries])
    return entries


def _check_ids(ids: Sequence[str]) -> None:
    if not all(map(_ID.fullmatch, ids)):
        what = "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
        raise SqsError("InvalidBatchEntryId", f"{what} It can be at most 80 letters long.")
    if len(set(ids)) < len(ids):
        repeated = next(entry_id for entry_id in ids if ids.count(entry_id) > 1)
        raise SqsError("BatchEntryIdsNotDistinct", f"Id {repeated} repeated.")


def check_size(entries: list[dict[str, Any]]) -> None:
    """Refuse a batch that is too long in all.

    Raises:
        SqsError: `BatchRequestTooLong`.

    """
    if (size := sum(map(_size_of_entry, entries))) > MAXIMUM_BYTES:
        limit = f"Batch requests cannot be longer than {MAXIMUM_BYTES} bytes."
        raise SqsError("BatchRequestTooLong", f"{limit} You have sent {size} bytes.")


class Batch:
    """Runs an action on each entry and sorts the answers into `Successful` and `Failed`."""

    def __init__(self, action: str, queue_name: str, injected: Injected) -> None:
        self._action = action
        self._queue_name = queue_name
        self._injected = injected
        self._successful: list[dict[str, Any]] = []
        self._failed: list[dict[str, Any]] = []
        self._message_ids: dict[str, list[str]] = defaultdict(list)

    def run(
        self,
        entries: list[dict[str, Any]],
        one: Callable[[dict[str, Any]], tuple[str, dict[str, Any]]],
    ) -> None:
        """Run `one`, which returns the message id and the answer, on each entry."""
        failing = self._injected.failing([entry["Id"] for entry in entries])
        for entry in entries:
            if fault := failing.get(entry["Id"]):
                error = SqsError(fault.shape, "Injected.", status=500)
                self._fail(entry, error, sender_fault=fault.sender_fault)
                continue
            try:
                message_id, answer = one(entry)
            except SqsError as error:
                self._fail(entry, error, sender_fault=error.sender_fault)
            else:
                self._message_ids["ok"].append(message_id)
                self._successful.append({"Id": entry["Id"], **answer})

    def answer(self, journal: Journal) -> dict[str, Any]:
        """Return the answer to the batch, after writing it down."""
        for outcome, message_ids in self._message_ids.items():
            journal.write(self._action, self._queue_name, message_ids, outcome)
        return {"Successful": self._successful, "Failed": self._failed}

    def _fail(self, entry: dict[str, Any], error: SqsError, *, sender_fault: bool) -> None:
        self._message_ids[error.code].append(_message_id(entry))
        self._failed.append(
            {
                "Id": entry["Id"],
                "SenderFault": sender_fault,
                "Code": error.code,
                "Message": error.message,
            }
        )


def _message_id(entry: dict[str, Any]) -> str:
    try:
        return read_receipt(str(entry.get("ReceiptHandle", ""))).message_id
    except SqsError:
        return ""  # a send has none yet, and a bad handle names none


_SYSTEM_NAMES = frozenset(
    {
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
        "SqsManagedSseEnabled",
    }
)


def check_system_names(names: frozenset[str]) -> None:
    """Refuse names of system attributes there are not.

    Raises:
        SqsError: `InvalidAttributeName`.

    """
    if unknown := sorted(names - _SYSTEM_NAMES - {"All"}):
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")


def render_received(
    received: Received, system_names: frozenset[str], attribute_names: frozenset[str]
) -> dict[str, Any]:
    """Return the entry of `Messages`, with the attributes asked for and no others."""
    message = received.message
    rendered: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": received.receipt_handle,
        "MD5OfBody": message.body_md5,
        "Body": message.sent.body,
    }
    if system_names:
        rendered["Attributes"] = _system_attributes(message, system_names)
    if attribute_names and (chosen := _chosen(message.sent.attributes, attribute_names)):
        rendered["MD5OfMessageAttributes"] = md5_of_attributes(chosen)
        rendered["MessageAttributes"] = {
            name: _render_attribute(attribute) for name, attribute in chosen.items()
        }
    return rendered


def _system_attributes(message: Message, names: frozenset[str]) -> dict[str, str]:
    fifo = message.deduplication_id is not None
    values = {
        "SenderId": "AIDAEXAMPLESENDER0000",
        "SentTimestamp": str(message.sent_at_milliseconds),
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_at_milliseconds),
        "MessageGroupId": message.sent.group_id,
        "MessageDeduplicationId": message.deduplication_id,
        "SequenceNumber": message.sequence_number if fifo else None,
        "AWSTraceHeader": message.sent.trace_header,
        "DeadLetterQueueSourceArn": message.dead_letter_source_arn,
    }
    wanted = values if "All" in names else names & values.keys()
    return {name: value for name in wanted if (value := values[name]) is not None}


def _chosen(attributes: Attributes, names: frozenset[str]) -> Attributes:
    if names & {"All", ".*"}:
        return attributes
    prefixes = tuple(name.removesuffix(".*") for name in names if name.endswith(".*"))
    return {
        name: attribute
        for name, attribute in attributes.items()
        if name in names or name.startswith(prefixes)
    }


def _render_attribute(attribute: Attribute) -> dict[str, str]:
    if isinstance(attribute.value, bytes):
        value = {"BinaryValue": base64.b64encode(attribute.value).decode()}
    else:
        value = {"StringValue": attribute.value}
    return {"DataType": attribute.data_type, **value}


def render_queue(queue: Queue, created_at: int) -> dict[str, str]:
    """Return all attributes of a queue that have a value."""
    depth = queue.depth()
    return {
        **queue.attributes.values,
        "QueueArn": queue.arn,
        "CreatedTimestamp": str(created_at),
        "LastModifiedTimestamp": str(created_at),
        "ApproximateNumberOfMessages": str(depth.visible),
        "ApproximateNumberOfMessagesNotVisible": str(depth.in_flight),
        "ApproximateNumberOfMessagesDelayed": str(depth.delayed),
    }
