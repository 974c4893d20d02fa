"""Parks messages: a copy with its reason on the dead-letter queue."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from worker import __version__
from worker.intake.history import Attempts
from worker.intake.message import Message
from worker.intake.outcome import Failure
from worker.intake.packing import ENCODING, packed
from worker.intake.queue import Queue, QueueError
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

ATTRIBUTE = "worker.failure"
"""The one message attribute that explains a parked message: SQS allows ten in all."""

MAX_ATTRIBUTES = 10

LONGEST = 1_048_576 - 16_384
"""Bytes of a body with its attributes; SQS takes 1 MiB, and the note needs some of it."""


class Parking:
    """Copies messages that cannot succeed to the dead-letter queue."""

    def __init__(self, queue: Queue, url: str | None) -> None:
        self._queue = queue
        self._url = url

    async def park(self, message: Message, failure: Failure, attempts: Attempts) -> bool:
        """Copy the message with its reason; False when that failed: it must not be deleted then."""
        if self._url is None:
            _refused(failure, "SQS_DEAD_LETTER_QUEUE_URL is not set")
            return False
        try:
            copy = _copy(message, failure, attempts, fifo=self._url.endswith(".fifo"))
            await self._queue.send_to(self._url, **copy)
        except QueueError as error:
            _refused(failure, error.code)
            return False
        metrics.messages_parked.labels(failure.error_class).inc()
        log.warning("message_parked", reason=failure.reason, fingerprint=failure.fingerprint)
        return True


def _refused(failure: Failure, cause: str) -> None:
    metrics.park_failures.inc()
    log.error("message_not_parked", reason=failure.reason, cause=cause)


def _copy(message: Message, failure: Failure, attempts: Attempts, *, fifo: bool) -> dict[str, Any]:
    # A note of old is replaced, so it takes nobody's place.
    own = [(name, value) for name, value in message.attributes.items() if name != ATTRIBUTE]
    kept = _typed(dict(own[: MAX_ATTRIBUTES - 1]))
    note = {
        "reason": failure.reason,
        "errorClass": failure.error_class,
        "fingerprint": failure.fingerprint,
        "handler": failure.handler,
        "messageId": message.id,
        "attempts": attempts.count,
        "receiveCount": message.receive_count,
        "firstFailure": _iso(attempts.first_failure),
        "lastFailure": _iso(attempts.last_failure),
        "sentAt": _iso(message.sent_at),
        "codeVersion": __version__,
    }
    body = message.body
    if len(body.encode()) + _bytes_of(kept) > LONGEST:
        body, note["bodyEncoding"] = packed(body), ENCODING
    copy: dict[str, Any] = {
        "MessageBody": body,
        "MessageAttributes": kept
        | {ATTRIBUTE: {"DataType": "String", "StringValue": orjson.dumps(note).decode()}},
    }
    copy |= traced(message)
    if message.group_id is not None:  # FIFO order, or the tenant of a fair queue
        copy["MessageGroupId"] = message.group_id
    if fifo:  # the same on every attempt: a copy that was sent but not confirmed is sent once
        copy["MessageDeduplicationId"] = message.id
    return copy


def traced(message: Message) -> dict[str, Any]:
    """Return what SendMessage takes to send the trace on: the one system attribute it takes."""
    header = message.cause.trace_header
    if header is None:
        return {}
    trace = {"DataType": "String", "StringValue": header}
    return {"MessageSystemAttributes": {"AWSTraceHeader": trace}}


def _typed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what SendMessage takes of what ReceiveMessage gave."""
    wanted = ("DataType", "StringValue", "BinaryValue")
    return {n: {k: v for k, v in value.items() if k in wanted} for n, value in attributes.items()}


def _bytes_of(attributes: Mapping[str, Any]) -> int:
    """Return what they count for: names, types and values."""
    words = (word for name, value in attributes.items() for word in (name, *value.values()))
    return sum(len(word if isinstance(word, bytes) else word.encode()) for word in words)


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
