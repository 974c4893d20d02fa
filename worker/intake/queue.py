"""The verbs of SQS, and what their failures mean. Nothing above this module sees botocore."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from worker.intake.message import Message, message_of

MAX_BATCH = 10
"""Entries of one SQS batch call."""

MAX_IN_FLIGHT = 100_000
"""SQS refuses receives from 120,000 messages in flight on."""

MAX_VISIBILITY_SECONDS = 43200
"""Twelve hours, counted from the receive; SQS refuses more and does not clamp."""

SYSTEM_ATTRIBUTES = [
    "ApproximateReceiveCount",
    "SentTimestamp",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
]
LOST_CODES = ("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue")
BROKEN_CODES = (
    "AccessDenied",
    "ExpiredToken",
    "InvalidAddress",
    "InvalidClientTokenId",
    "NonExistentQueue",
    "NoCredentialsError",
    "QueueDoesNotExist",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
)
TOLERATED_SECONDS = 5.0
"""Difference of the two clocks that is none."""

UNANSWERED = "Unanswered"
"""Code of what a success does not mention."""


class QueueError(Exception):
    """A whole call failed; `broken` when only a person can mend it (rights, name of the queue)."""

    def __init__(self, operation: str, code: str) -> None:
        super().__init__(f"{operation} failed: {code}")
        self.code = code
        self.broken = any(word in code for word in BROKEN_CODES)


class EntryFailed(Exception):
    """One entry of a batch failed while the call answered 200."""

    def __init__(self, code: str, *, sender_fault: bool) -> None:
        super().__init__(code)
        self.code = code
        self.sender_fault = sender_fault

    @property
    def lease_lost(self) -> bool:
        """Whether SQS says that this receipt no longer holds the message."""
        return any(word in self.code for word in LOST_CODES)


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """What the queue says of itself."""

    visibility_seconds: int
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0
    fifo: bool = False


Results = list["EntryFailed | None"]


class Queue:
    """One SQS queue.

    Two clients, so that an ack never waits for a connection that long polls hold (measured: 2.8 s
    of a 3 s poll with botocore's one pool of ten).
    """

    def __init__(self, url: str, *, polls: Any, acks: Any) -> None:
        self.url = url
        self._polls = polls
        self._acks = acks
        self._clock_set_at = 0.0
        self._ahead_seconds = 0.0
        """How far SQS's clock is before this machine's, as its last reply says."""

    async def receive(
        self, at_most: int, *, wait_seconds: int, visibility_seconds: int | None
    ) -> list[Message]:
        """Long-poll for up to `at_most` messages. Raises QueueError."""
        visibility = {} if visibility_seconds is None else {"VisibilityTimeout": visibility_seconds}
        sent_at = asyncio.get_running_loop().time()
        answer = await self._call(
            self._polls.receive_message,
            MaxNumberOfMessages=at_most,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=SYSTEM_ATTRIBUTES,
            MessageAttributeNames=["All"],
            **visibility,
        )
        return [message_of(entry, received_at=sent_at) for entry in answer.get("Messages", ())]

    async def delete(self, receipts: Sequence[str]) -> Results:
        """Delete up to ten; one result per receipt, in order. Raises QueueError."""
        # Entry ids are positions: the same message id may stand in a batch twice.
        entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
        return _results(await self._call(self._acks.delete_message_batch, Entries=entries), entries)

    async def hide(self, receipts: Sequence[tuple[str, int]]) -> Results:
        """Set the visibility timeout of up to ten, in seconds from now. Raises QueueError."""
        entries = [
            {"Id": str(i), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for i, (receipt, seconds) in enumerate(receipts)
        ]
        answer = await self._call(self._acks.change_message_visibility_batch, Entries=entries)
        return _results(answer, entries)

    async def send_to(self, url: str, **message: Any) -> None:
        """Send a message to another queue, through the ack client. Raises QueueError."""
        await self._call(self._acks.send_message, QueueUrl=url, **message)

    async def attributes(self, url: str | None = None) -> QueueAttributes:
        """Read the attributes of this queue, or of another. Raises QueueError."""
        answer = await self._call(
            self._acks.get_queue_attributes, QueueUrl=url or self.url, AttributeNames=["All"]
        )
        if not (attributes := answer.get("Attributes")):
            raise QueueError("get_queue_attributes", UNANSWERED)
        return _attributes_of(attributes)

    def age_seconds(self, sent_at: float) -> float:
        """Return the age of a message by SQS's own clock: a step of ours dead-letters nothing."""
        return max(0.0, time.time() + self._ahead_seconds - sent_at)

    async def _call(self, operation: Any, **parameters: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await operation(**{"QueueUrl": self.url, **parameters})
        except ClientError as error:
            raise QueueError(operation.__name__, error.response["Error"]["Code"]) from error
        except (BotoCoreError, OSError, TimeoutError) as error:
            raise QueueError(operation.__name__, type(error).__name__) from error
        self._set_clock(answer)
        return answer

    def _set_clock(self, answer: Mapping[str, Any]) -> None:
        """Read the date of a reply, once a second at most: it has no fractions."""
        now = time.time()
        if abs(now - self._clock_set_at) < 1:
            return
        self._clock_set_at = now
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        with suppress(ValueError, TypeError):
            ahead = parsedate_to_datetime(date).timestamp() - now
            # Its date is cut to the second, and took its time: less than that is no difference.
            self._ahead_seconds = ahead if abs(ahead) > TOLERATED_SECONDS else 0.0


def _results(answer: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Results:
    done = {entry["Id"] for entry in answer.get("Successful", ())}
    failed = {
        entry["Id"]: EntryFailed(
            entry.get("Code", ""), sender_fault=entry.get("SenderFault", False)
        )
        for entry in answer.get("Failed", ())
    }
    # An entry that is in neither list was not confirmed: treated as the service's fault.
    missing = EntryFailed(UNANSWERED, sender_fault=False)
    return [None if e["Id"] in done else failed.get(e["Id"], missing) for e in entries]


def _attributes_of(raw: Mapping[str, str]) -> QueueAttributes:
    return QueueAttributes(
        visibility_seconds=int(raw.get("VisibilityTimeout", 30)),
        visible=int(raw.get("ApproximateNumberOfMessages", 0)),
        in_flight=int(raw.get("ApproximateNumberOfMessagesNotVisible", 0)),
        delayed=int(raw.get("ApproximateNumberOfMessagesDelayed", 0)),
        fifo=raw.get("FifoQueue") == "true",
    )
