"""One received SQS message, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.telemetry.tracing import Cause


@dataclass(frozen=True, slots=True)
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

    cause: Cause = field(default_factory=Cause, repr=False)
    """The span that sent it, for tracing."""


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
        cause=Cause(
            traceparent=attributes.get("traceparent", {}).get("StringValue"),
            trace_header=system.get("AWSTraceHeader"),
        ),
    )
