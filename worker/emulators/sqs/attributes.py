"""The attributes of a queue: what may be set, within which bounds, and their defaults.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import orjson

from worker.emulators.sqs.errors import SqsError, invalid_value

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
