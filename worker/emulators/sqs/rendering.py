"""A received message and a queue's attributes, as they go over the wire."""

import base64
from typing import Any

from worker.emulators.sqs.errors import SqsError
from worker.emulators.sqs.message import Attribute, Attributes, Message, Received, md5_of_attributes
from worker.emulators.sqs.queue import Queue

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
