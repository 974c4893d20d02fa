"""One SQS queue: its messages, its verbs, and what its replies say. Nothing above it sees botocore.

Replies are read as JSON of any shape, since a reply must never end the process. What has another
shape than SQS's is left out and counted by those who ask; an entry of a batch that is in neither
list was not confirmed. No text of a reply gets into an error but AWS's codes and the name of an
action.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog
from msgspec import Struct
from msgspec.structs import replace

from worker.clients.aws.errors import UNREADABLE, EntryFailed, QueueError, ask
from worker.clients.aws.wire.protocol import seconds_of
from worker.events import Record
from worker.telemetry import Cause

UNANSWERED = "Unanswered"
"""Code of what a success does not mention."""

NO_CAUSE = Cause()

_LATEST_MILLISECONDS = 10**14
_MOST_RECEIVES = 10**6
_MOST_SECONDS = 10**9
_NONE: Mapping[str, Any] = {}

MAX_BATCH = 10
"""Entries of one SQS batch call."""

_ALL = [{"Id": str(number)} for number in range(MAX_BATCH)]
"""`Successful` of a batch that succeeded as a whole."""


class Message(Record, frozen=True, kw_only=True):
    """A message received; a second receive of the same id makes a new one with a newer receipt."""

    unshown = frozenset({"body", "attributes", "cause"})

    id: str
    receipt: str
    body: str
    received_at: float
    """Loop time at which the receive was sent: the lease runs from there at the latest."""

    receive_count: int = 1
    sent_at: float | None = None
    """`SentTimestamp` in seconds since the epoch, by SQS's clock."""

    group_id: str | None = None
    attributes: Mapping[str, Any] = {}
    """Message attributes as SQS gives them, carried along when the message is dead-lettered."""

    cause: Cause = NO_CAUSE
    """The span that sent it, for tracing."""

    moved_from: str | None = None
    """ARN of the queue from which SQS itself moved it: `DeadLetterQueueSourceArn`."""


class QueueAttributes(Struct, frozen=True, kw_only=True):
    """What a queue says of itself; None and 0 for what it does not."""

    visibility_seconds: int = 30
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0
    fifo: bool = False
    arn: str | None = None
    retention_seconds: int | None = None
    max_receive_count: int | None = None
    dead_letter_arn: str | None = None
    """Where SQS itself moves messages that were received too often."""

    key: str | None = None
    """Id, alias or ARN of the KMS key; None: it has none, or SQS's own."""


def batch_results(
    answer: Mapping[str, Any], count: int, *, action: str = ""
) -> list[EntryFailed | None]:
    """Return what became of the entries, whose ids are `0` to `count - 1`: None: it succeeded.

    An entry that is in both lists failed: to do it again is harmless, and to think it done is not.
    """
    # What comes as a rule, compared as a whole: entry by entry it is 2 percent of a message.
    if count <= MAX_BATCH and answer.get("Successful") == _ALL[:count] and not answer.get("Failed"):
        return [None] * count
    failed = {
        entry["Id"]: EntryFailed(
            _text(entry, "Code") or "",
            sender_fault=entry.get("SenderFault") is True,
            action=action,
        )
        for entry in _entries(answer, "Failed")
    }
    done = {entry["Id"] for entry in _entries(answer, "Successful")}
    ids = [str(number) for number in range(count)]
    return [
        failed.get(one)
        or (None if one in done else EntryFailed(UNANSWERED, sender_fault=False, action=action))
        for one in ids
    ]


def messages_of(answer: Mapping[str, Any], received_at: float) -> tuple[list[Message], int]:
    """Return the messages of a receive, and how many entries were none: without id or receipt.

    Such a one can be neither run nor deleted; it comes again when its visibility timeout ends.
    """
    entries = answer.get("Messages")
    if not isinstance(entries, list):
        return [], int(entries is not None)
    messages = [one for entry in entries if (one := _message(entry, received_at))]
    return messages, len(entries) - len(messages)


def attributes_of(answer: Mapping[str, Any]) -> QueueAttributes | None:
    """Return what a queue says of itself; None when the reply says nothing."""
    raw = answer.get("Attributes")
    if not (isinstance(raw, dict) and raw):
        return None
    redrive = _redrive_policy(raw)
    return QueueAttributes(
        visibility_seconds=_whole(raw.get("VisibilityTimeout"), 30),
        visible=_whole(raw.get("ApproximateNumberOfMessages"), 0),
        in_flight=_whole(raw.get("ApproximateNumberOfMessagesNotVisible"), 0),
        delayed=_whole(raw.get("ApproximateNumberOfMessagesDelayed"), 0),
        fifo=raw.get("FifoQueue") == "true",
        arn=_text(raw, "QueueArn"),
        retention_seconds=_whole(raw.get("MessageRetentionPeriod"), 0) or None,
        max_receive_count=_whole(redrive.get("maxReceiveCount"), 0) or None,
        dead_letter_arn=_text(redrive, "deadLetterTargetArn"),
        key=_text(raw, "KmsMasterKeyId"),
    )


def answered_at(answer: Mapping[str, Any]) -> float | None:
    """Return SQS's own time of an answer, to the second and since the epoch: its `Date`."""
    metadata = answer.get("ResponseMetadata")
    headers = metadata.get("HTTPHeaders") if isinstance(metadata, dict) else None
    date = headers.get("date") if isinstance(headers, Mapping) else None
    return seconds_of(date) if isinstance(date, str) else None


def _entries(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = answer.get(name)
    if not isinstance(entries, list):
        return []
    return [one for one in entries if isinstance(one, dict) and isinstance(one.get("Id"), str)]


def _message(entry: Any, received_at: float) -> Message | None:
    if not isinstance(entry, dict):
        return None
    message_id, receipt = entry.get("MessageId"), entry.get("ReceiptHandle")
    body = entry.get("Body")
    if body is None:
        body = ""
    are_texts = isinstance(message_id, str) and isinstance(receipt, str) and isinstance(body, str)
    if not (are_texts and message_id and receipt):
        return None
    system = entry.get("Attributes")
    if not isinstance(system, dict):
        system = _NONE
    receives, sent = system.get("ApproximateReceiveCount"), system.get("SentTimestamp")
    # As a rule thirteen digits; a call for each message costs more than to see that.
    sent_milliseconds = (
        int(sent)
        if isinstance(sent, str) and len(sent) == 13 and sent.isdecimal()
        else _whole(sent, 0, _LATEST_MILLISECONDS)
    )
    message = Message(
        id=message_id,
        receipt=receipt,
        body=body,
        received_at=received_at,
        receive_count=1 if receives == "1" else _whole(receives, 1, _MOST_RECEIVES) or 1,
        sent_at=sent_milliseconds / 1000 or None,
        attributes=_NONE,
    )
    known = (receives is not None) + (sent is not None)
    given = entry.get("MessageAttributes")
    return _with_the_rest(message, system, given) if given or len(system) > known else message


def _with_the_rest(message: Message, system: Mapping[str, Any], given: object) -> Message:
    attributes = given if isinstance(given, dict) else _NONE
    # Apart: most messages have none of it, and each look-up is made for every message.
    return replace(
        message,
        group_id=_text(system, "MessageGroupId"),
        attributes=_message_attributes(attributes),
        cause=_cause(attributes, _text(system, "AWSTraceHeader")),
        moved_from=_text(system, "DeadLetterQueueSourceArn"),
    )


def _message_attributes(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in raw.items() if isinstance(value, dict)}


def _cause(attributes: Mapping[str, Any], trace_header: str | None) -> Cause:
    if trace_header is None and "traceparent" not in attributes:
        return NO_CAUSE
    traceparent = _text(_object(attributes, "traceparent"), "StringValue")
    return Cause(traceparent=traceparent, trace_header=trace_header)


def _redrive_policy(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        policy = orjson.loads(_text(raw, "RedrivePolicy") or "{}")
    except orjson.JSONDecodeError:
        return _NONE
    return policy if isinstance(policy, dict) else _NONE


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, dict) else _NONE


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    return value if isinstance(value, str) and value else None


def _whole(value: Any, default: int, most: int = _MOST_SECONDS) -> int:
    """Return a whole number from 0 to `most`, written as text or as a number."""
    try:
        number = int(value) if isinstance(value, (str, int)) else default
    except ValueError:
        return default
    return number if 0 <= number <= most else default


log = structlog.get_logger(__name__)

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
