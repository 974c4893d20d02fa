"""Dead letters: the copy with its failure record, and how a copy is read back."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from worker import __version__
from worker.clients.aws.errors import QueueError
from worker.clients.aws.sqs import Message, Queue
from worker.intake.attempts import Attempt
from worker.intake.body_encoding import RECORD_ATTRIBUTE, decode_body, encode_body
from worker.intake.outcome import Failure
from worker.telemetry import metrics

log = structlog.get_logger(__name__)


class DeadLetters:
    """Copies messages that cannot succeed to the dead-letter queue."""

    def __init__(self, queue: Queue, url: str | None) -> None:
        self._queue = queue
        self._url = url
        self.problem: str | None = None
        """Why the last copy was not taken; None when it was."""

    async def send(self, message: Message, failure: Failure, attempt: Attempt) -> bool:
        """Copy the message with its reason; False when that failed: it must not be deleted then."""
        if self._url is None:
            return self._refused(failure, "SQS_DEAD_LETTER_QUEUE_URL is not set")
        try:
            copy = _copy(message, failure, attempt, self._queue.url, self._url)
            await self._queue.send_to(self._url, **copy)
        except QueueError as error:
            return self._refused(failure, error.code)
        self.problem = None
        metrics.messages_dead_lettered.labels(failure.error_class).inc()
        log.warning(
            "message_dead_lettered",
            reason=failure.reason,
            fingerprint=failure.fingerprint,
            job=failure.job,
        )
        return True

    def _refused(self, failure: Failure, cause: str) -> bool:
        self.problem = cause
        metrics.dead_letter_failures.inc()
        log.error("message_not_dead_lettered", reason=failure.reason, cause=cause)
        return False


def _copy(
    message: Message, failure: Failure, attempt: Attempt, queue: str, dead_letters: str
) -> dict[str, Any]:
    encoded = encode_body(message.body, message.attributes)
    record = {
        "reason": failure.reason,
        "errorClass": failure.error_class,
        "fingerprint": failure.fingerprint,
        "job": failure.job,
        "queue": queue,
        "messageId": message.id,
        "attempts": attempt.all,
        "receiveCount": message.receive_count,
        "firstFailure": _iso(attempt.first_failure),
        "lastFailure": _iso(attempt.last_failure),
        "sentAt": _iso(message.sent_at),
        "codeVersion": __version__,
        **encoded.record,
    }
    record_attribute = {"DataType": "String", "StringValue": orjson.dumps(record).decode()}
    copy: dict[str, Any] = {
        "MessageBody": encoded.text,
        "MessageAttributes": {**encoded.attributes, RECORD_ATTRIBUTE: record_attribute},
    }
    copy |= traced(message)
    if message.group_id is not None:  # FIFO order, or the tenant of a fair queue
        copy["MessageGroupId"] = message.group_id
    # The same on every attempt: a copy that was sent but not confirmed is sent once.
    if dead_letters.endswith(".fifo"):
        copy["MessageDeduplicationId"] = message.id
    return copy


def restored(message: Message) -> Message:
    """Return a message as it was before it was dead-lettered; as it is, if that cannot be read."""
    text = message.attributes[RECORD_ATTRIBUTE].get("StringValue", "")
    try:
        record = orjson.loads(text)
        body, attributes = decode_body(message.body, message.attributes, record)
    except (ValueError, AttributeError):
        return message
    return replace(message, body=body, attributes=attributes)


def traced(message: Message) -> dict[str, Any]:
    """Return what SendMessage takes to send the trace on: the one system attribute it takes."""
    header = message.cause.trace_header
    if header is None:
        return {}
    trace = {"DataType": "String", "StringValue": header}
    return {"MessageSystemAttributes": {"AWSTraceHeader": trace}}


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
