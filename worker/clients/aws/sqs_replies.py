"""What SQS's replies say: pure, and of any JSON at all, since a reply must never end the process.

What has another shape than SQS's is left out and counted by those who ask; an entry of a batch that
is in neither list was not confirmed. No text of a reply gets into an error but AWS's codes and the
name of an action.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from worker.clients.aws.wire.signing import seconds_of
from worker.events.record import record
from worker.telemetry.tracing import Cause

UNANSWERED = "Unanswered"
"""Code of what a success does not mention."""

UNREADABLE = "UnreadableReply"
"""Code of a success of another shape."""

LOST_CODES = ("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue")
MISSING_CODES = ("InvalidAddress", "NonExistentQueue", "QueueDoesNotExist")
DENIED_CODES = ("AccessDenied", "AuthorizationError", "NotAuthorized")
BROKEN_CODES = (
    *MISSING_CODES,
    *DENIED_CODES,
    "ExpiredToken",
    "InvalidClientTokenId",
    "NoCredentialsError",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
)
NO_ANSWER = (BotoCoreError, ResponseParserError, OSError)
"""OSError holds TimeoutError."""

ODD_ANSWER = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the SDK's parsers raise over a reply of another shape than its model's."""

NO_CAUSE = Cause()

_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]{2,32}:[A-Za-z]{2,64})\b")
_LATEST_MILLISECONDS = 10**14
_MOST_RECEIVES = 10**6
_MOST_SECONDS = 10**9
_NONE: Mapping[str, Any] = {}


class QueueError(Exception):
    """A whole call failed."""

    def __init__(self, operation: str, code: str, *, action: str = "") -> None:
        """Take the name of the call, AWS's code, and the `action` if AWS named a denied one."""
        self.operation = operation
        self.code = code if _CODE.fullmatch(code) else "unreadable code"
        self.action = action or action_of(operation)
        """Of IAM, e.g. `sqs:DeleteMessage`; of a batch call too, or `kms:Decrypt`."""

        self.denied = _any_in(DENIED_CODES, self.code)
        """The credentials are good, and may not do this."""

        self.missing = _any_in(MISSING_CODES, self.code)
        """There is no such queue: the setting is wrong in itself."""

        self.broken = _any_in(BROKEN_CODES, self.code)
        """Only a person can fix it: permissions, credentials, name of the queue."""

        what = f" ({self.action})" if self.denied else ""
        super().__init__(f"{operation} failed: {self.code}{what}")


class EntryFailed(Exception):
    """One entry of a batch failed while the call answered 200, or with its whole call."""

    def __init__(self, code: str, *, sender_fault: bool, action: str = "") -> None:
        self.code = code if _CODE.fullmatch(code) else "unreadable code"
        self.sender_fault = sender_fault
        self.action = action
        self.denied = _any_in(DENIED_CODES, self.code)
        super().__init__(self.code)

    @classmethod
    def with_its_call(cls, error: QueueError) -> "EntryFailed":
        """Return the failure of each entry of a call that failed as a whole."""
        return cls(error.code, sender_fault=False, action=error.action)

    @property
    def lease_lost(self) -> bool:
        """Whether SQS says that this receipt no longer holds the message."""
        return _any_in(LOST_CODES, self.code)


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
    """`SentTimestamp` in seconds since the epoch, by SQS's clock."""

    group_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Message attributes as SQS gives them, carried along when the message is dead-lettered."""

    cause: Cause = field(default=NO_CAUSE, repr=False)
    """The span that sent it, for tracing."""

    moved_from: str | None = None
    """ARN of the queue from which SQS itself moved it: `DeadLetterQueueSourceArn`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAttributes:
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


async def ask(operation: Callable[..., Awaitable[Any]], **parameters: Any) -> Mapping[str, Any]:
    """Call an operation of a client of either transport. Raises QueueError, and nothing else."""
    name = operation.__name__
    try:
        answer = await operation(**parameters)
    except ClientError as error:
        failure = _refusal(name, error.response)
    except NO_ANSWER as error:
        failure = QueueError(name, type(error).__name__)
    except ODD_ANSWER:
        failure = QueueError(name, UNREADABLE)
    else:
        if isinstance(answer, Mapping):
            return answer
        failure = QueueError(name, UNREADABLE)
    # Outside: AWS's own text quotes ARNs and addresses, and would ride along on `__context__`.
    raise failure


def action_of(operation: str) -> str:
    """Return the action of IAM for an operation's name: batches are allowed with their singles."""
    words = operation.removesuffix("_batch").split("_")
    return "sqs:" + "".join(word.capitalize() for word in words)


def batch_results(
    answer: Mapping[str, Any], count: int, *, action: str = ""
) -> list[EntryFailed | None]:
    """Return what became of the entries, whose ids are `0` to `count - 1`: None is well.

    An entry that is in both lists failed: to do it again is harmless, and to think it done is not.
    """
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
    if entries is None:
        return [], 0
    if not isinstance(entries, list):
        return [], 1
    read = [_message(entry, received_at) for entry in entries]
    messages = [message for message in read if message is not None]
    return messages, len(read) - len(messages)


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
    )


def answered_at(answer: Mapping[str, Any]) -> float | None:
    """Return SQS's own time of an answer, to the second and since the epoch: its `Date`."""
    metadata = answer.get("ResponseMetadata")
    headers = metadata.get("HTTPHeaders") if isinstance(metadata, dict) else None
    date = headers.get("date") if isinstance(headers, Mapping) else None
    return seconds_of(date) if isinstance(date, str) else None


def _refusal(operation: str, response: Mapping[str, Any]) -> QueueError:
    error = response.get("Error")
    error = error if isinstance(error, dict) else {}
    named = _ACTION.search(str(error.get("Message") or "")[:2000])
    # AWS writes `sqs:deletemessage` there.
    own = action_of(operation)
    action = own if named is None or named[1].lower() == own.lower() else named[1]
    return QueueError(operation, str(error.get("Code") or ""), action=action)


def _entries(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = answer.get(name)
    if not isinstance(entries, list):
        return []
    return [one for one in entries if isinstance(one, dict) and isinstance(one.get("Id"), str)]


def _message(entry: Any, received_at: float) -> Message | None:
    if not isinstance(entry, dict):
        return None
    identity, receipt, body = entry.get("MessageId"), entry.get("ReceiptHandle"), entry.get("Body")
    if not (identity and receipt and isinstance(identity, str) and isinstance(receipt, str)):
        return None
    if body is not None and not isinstance(body, str):
        return None
    system = _object(entry, "Attributes")
    receives, sent = system.get("ApproximateReceiveCount"), system.get("SentTimestamp")
    message = Message(
        id=identity,
        receipt=receipt,
        body=body or "",
        received_at=received_at,
        receive_count=_whole(receives, 1, _MOST_RECEIVES) or 1,
        sent_at=_whole(sent, 0, _LATEST_MILLISECONDS) / 1000 or None,
        attributes=_NONE,
    )
    told = (receives is not None) + (sent is not None)
    if len(system) > told or "MessageAttributes" in entry:
        return _with_the_rest(message, system, _object(entry, "MessageAttributes"))
    return message


def _with_the_rest(
    message: Message, system: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Message:
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
        number = int(value) if isinstance(value, str | int) else default
    except ValueError:
        return default
    return number if 0 <= number <= most else default


def _any_in(words: Sequence[str], code: str) -> bool:
    return any(word in code for word in words)
