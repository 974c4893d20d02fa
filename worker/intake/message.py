"""One received SQS message, as data."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from worker.events.record import record
from worker.telemetry.tracing import Cause

NO_CAUSE = Cause()


@record
class Message:
    """A message in hand; a second receive of the same id makes a new one with a newer receipt."""

    id: str
    receipt: str
    body: str = field(repr=False)
    received_at: float
    """Loop time at which the receive was sent: the lease runs from there at the latest."""

    receive_count: int = 1
    sent_at: float | None = None
    """`SentTimestamp` in seconds since the epoch."""

    group_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Message attributes as SQS gives them, carried along when the message is parked."""

    cause: Cause = field(default=NO_CAUSE, repr=False)
    """The span that sent it, for tracing."""

    moved_from: str | None = None
    """ARN of the queue from which SQS itself moved it: `DeadLetterQueueSourceArn`."""


def message_of(entry: Mapping[str, Any], *, received_at: float) -> Message:
    """Read one entry of ReceiveMessage's `Messages`."""
    system = entry.get("Attributes", {})
    sent = system.get("SentTimestamp")
    return Message(
        id=entry["MessageId"],
        receipt=entry["ReceiptHandle"],
        body=entry.get("Body", ""),
        received_at=received_at,
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=int(sent) / 1000 if sent else None,
        group_id=system.get("MessageGroupId"),
        attributes=(attributes := entry.get("MessageAttributes", {})),
        cause=_cause(attributes, system.get("AWSTraceHeader")),
        moved_from=system.get("DeadLetterQueueSourceArn"),
    )


def _cause(attributes: Mapping[str, Any], trace_header: str | None) -> Cause:
    if "traceparent" not in attributes and trace_header is None:
        return NO_CAUSE
    traceparent = attributes.get("traceparent", {}).get("StringValue")
    return Cause(traceparent=traceparent, trace_header=trace_header)
