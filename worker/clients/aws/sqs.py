"""One SQS queue: its verbs, and what their failures mean. Nothing above this sees botocore."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from worker.clients.aws.sqs_replies import (
    UNREADABLE,
    EntryFailed,
    Message,
    QueueAttributes,
    QueueError,
    answered_at,
    ask,
    attributes_of,
    batch_results,
    messages_of,
)

log = structlog.get_logger(__name__)

MAX_BATCH = 10
"""Entries of one SQS batch call."""

MAX_IN_FLIGHT = 100_000
"""SQS refuses receives from 120,000 messages in flight on."""

MAX_VISIBILITY_SECONDS = 43200
"""Twelve hours, counted from the receive; SQS refuses more and does not clamp."""

TOLERATED_SECONDS = 5.0
"""Difference of SQS's clock and ours that is none: its date is cut to the second, and took time."""

SYSTEM_ATTRIBUTES = [
    "ApproximateReceiveCount",
    "SentTimestamp",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
]

Results = list[EntryFailed | None]


class Queue:
    """One SQS queue.

    Two clients, so that an ack never waits for a connection that long polls hold (measured: 2.8 s
    of a 3 s poll with botocore's one pool of ten).
    """

    def __init__(self, url: str, *, polls: Any, acks: Any) -> None:
        self.url = url
        self._polls = polls
        self._acks = acks
        self._ahead_seconds = 0.0
        self._clock_set_at = float("-inf")
        self._loop = asyncio.get_running_loop()

    async def receive(
        self, at_most: int, *, wait_seconds: int, visibility_seconds: int | None
    ) -> list[Message]:
        """Long-poll for up to `at_most` messages. Raises QueueError."""
        visibility = {} if visibility_seconds is None else {"VisibilityTimeout": visibility_seconds}
        sent_at = self._loop.time()
        answer = await self._ask(
            self._polls.receive_message,
            MaxNumberOfMessages=at_most,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=SYSTEM_ATTRIBUTES,
            MessageAttributeNames=["All"],
            **visibility,
        )
        messages, odd = messages_of(answer, sent_at)
        if odd:
            # They can be neither run nor deleted; they come again as their visibility ends.
            log.warning("messages_unreadable", entries=odd)
        return messages

    async def delete(self, receipts: Sequence[str]) -> Results:
        """Delete up to ten; one result per receipt, in order. Raises QueueError."""
        # Entry ids are positions: the same message id may stand in a batch twice.
        entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
        return await self._batch(self._acks.delete_message_batch, entries, "sqs:DeleteMessage")

    async def change_visibility(self, receipts: Sequence[tuple[str, int]]) -> Results:
        """Set the visibility timeout of up to ten, in seconds from now. Raises QueueError."""
        entries = [
            {"Id": str(i), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for i, (receipt, seconds) in enumerate(receipts)
        ]
        change = self._acks.change_message_visibility_batch
        return await self._batch(change, entries, "sqs:ChangeMessageVisibility")

    async def send_to(self, url: str, **message: Any) -> None:
        """Send a message to another queue, through the ack client. Raises QueueError."""
        await self._ask(self._acks.send_message, QueueUrl=url, **message)

    async def attributes(self, url: str | None = None) -> QueueAttributes:
        """Read the attributes of this queue, or of another. Raises QueueError."""
        answer = await self._ask(
            self._acks.get_queue_attributes, QueueUrl=url or self.url, AttributeNames=["All"]
        )
        if (attributes := attributes_of(answer)) is None:
            raise QueueError("get_queue_attributes", UNREADABLE)
        return attributes

    def age_seconds(self, sent_at: float) -> float:
        """Return the age of a message by SQS's own clock: a step of ours dead-letters nothing."""
        return max(0.0, time.time() + self._ahead_seconds - sent_at)

    async def _batch(self, operation: Any, entries: list[dict[str, Any]], action: str) -> Results:
        answer = await self._ask(operation, Entries=entries)
        return batch_results(answer, len(entries), action=action)

    async def _ask(self, operation: Any, **parameters: Any) -> Mapping[str, Any]:
        answer = await ask(operation, **{"QueueUrl": self.url, **parameters})
        self._set_clock(answer)
        return answer

    def _set_clock(self, answer: Mapping[str, Any]) -> None:
        """Compare the clocks, once a second at most: a date has no fractions."""
        now = self._loop.time()
        if now - self._clock_set_at < 1:
            return
        self._clock_set_at = now
        if (theirs := answered_at(answer)) is not None:
            ahead = theirs - time.time()
            self._ahead_seconds = ahead if abs(ahead) > TOLERATED_SECONDS else 0.0
