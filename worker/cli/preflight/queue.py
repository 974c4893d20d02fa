"""The queue and its dead-letter queue: their attributes against the settings, and permissions."""

from collections.abc import Mapping
from typing import Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from worker.cli.preflight.faults import fault_of
from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.settings import Settings, heartbeat_capacity

LEAST_RECEIVES = 10
WANTED_RECEIVES = 50
"""Outages and drains count as receives too; the worker's own limit is the message's age."""

LEAST_VISIBILITY_SECONDS = 10

Attributes = Mapping[str, str]


async def check_queues(sqs: Any, settings: Settings) -> list[Row]:
    """Look at both queues."""
    url = str(settings.sqs.queue_url)
    attributes = await _attributes(sqs, url)
    if isinstance(attributes, Row):
        return [attributes]
    rows = [_kind(attributes), *judge_queue(attributes, settings), *await _permissions(sqs, url)]
    dead_letter_url = settings.sqs.dead_letter_queue_url
    if dead_letter_url is None:
        return [*rows, _no_dead_letters()]
    dead_letters = await _attributes(sqs, str(dead_letter_url), "dead-letter queue")
    if isinstance(dead_letters, Row):
        return [*rows, dead_letters]
    return [*rows, judge_dead_letters(attributes, dead_letters)]


def judge_queue(attributes: Attributes, settings: Settings) -> list[Row]:
    """Hold a queue's attributes to the settings."""
    return [
        _visibility(attributes, settings),
        _retention(attributes, settings),
        _receives(attributes),
    ]


def judge_dead_letters(source: Attributes, dead_letters: Attributes) -> Row:
    """Hold a dead-letter queue to the queue it serves."""
    name = "dead-letter queue"
    if dead_letters.get("QueueArn") == source.get("QueueArn"):
        return fail(name, "is the queue itself", "name another in SQS_DEAD_LETTER_QUEUE_URL")
    if dead_letters.get("FifoQueue") != source.get("FifoQueue"):
        return fail(name, "one queue is FIFO, the other is not", "make both of the same kind")
    kept, source_kept = (int(q.get("MessageRetentionPeriod", 0)) for q in (dead_letters, source))
    if kept <= source_kept:
        return warn(
            name,
            f"keeps messages {_days(kept)}, the queue {_days(source_kept)}",
            "keep them longer: what SQS moves there brings its age along",
        )
    waiting = dead_letters.get("ApproximateNumberOfMessages", "?")
    return ok(name, f"reachable; {waiting} messages, kept {_days(kept)}")


def _kind(attributes: Attributes) -> Row:
    waiting = attributes.get("ApproximateNumberOfMessages", "?")
    if attributes.get("FifoQueue") == "true":
        return ok("queue", f"FIFO: groups in parallel, one after another within; {waiting} visible")
    return ok("queue", f"standard; {waiting} messages visible")


def _visibility(attributes: Attributes, settings: Settings) -> Row:
    name = "visibility timeout"
    own = settings.sqs.visibility_seconds
    seconds = own or int(attributes.get("VisibilityTimeout", 0))
    found = f"{seconds} s, from {'SQS_VISIBILITY_SECONDS' if own else 'the queue'}"
    remedy = "raise the queue's VisibilityTimeout, or set SQS_VISIBILITY_SECONDS"
    if seconds < LEAST_VISIBILITY_SECONDS:
        return fail(name, f"{found}: too short for a heartbeat", remedy)
    if settings.sqs.concurrency > (capacity := heartbeat_capacity(seconds)):
        return fail(name, f"{found}: the heartbeat can keep {capacity} messages", remedy)
    if seconds < settings.handler.deadline_seconds:
        found += f"; the heartbeat bridges to {settings.handler.deadline_seconds:g} s"
    return ok(name, found)


def _retention(attributes: Attributes, settings: Settings) -> Row:
    name = "retention"
    kept, horizon = int(attributes.get("MessageRetentionPeriod", 0)), settings.retry.horizon_seconds
    if kept <= horizon:
        return fail(
            name,
            f"{_days(kept)}, but retries go on for {_days(horizon)}",
            "raise MessageRetentionPeriod or lower RETRY_HORIZON_SECONDS: SQS drops it unparked",
        )
    return ok(name, f"{_days(kept)}; retries end after {_days(horizon)}")


def _receives(attributes: Attributes) -> Row:
    name = "maxReceiveCount"
    policy = orjson.loads(attributes.get("RedrivePolicy", "{}"))
    count = int(policy.get("maxReceiveCount", 0))
    remedy = f"set it to {WANTED_RECEIVES}: outages and drains count as receives too"
    if not count:
        return warn(name, "no redrive policy: a message that crashes us never leaves", remedy)
    if count < LEAST_RECEIVES:
        return fail(name, f"{count}: an outage would dead-letter healthy messages", remedy)
    return ok(name, str(count)) if count >= WANTED_RECEIVES else warn(name, str(count), remedy)


def _no_dead_letters() -> Row:
    return warn(
        "dead-letter queue",
        "not set: a message that can never succeed stays on the queue",
        "set SQS_DEAD_LETTER_QUEUE_URL",
    )


async def _attributes(sqs: Any, url: str, name: str = "queue") -> Attributes | Row:
    try:
        reply = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except (ClientError, BotoCoreError) as error:
        fault = fault_of(error)
        return fail(name, fault.code, fault.remedy)
    attributes: Attributes = reply.get("Attributes", {})
    return attributes


async def _permissions(sqs: Any, url: str) -> list[Row]:
    """Try what changes nothing: a call on a receipt handle that cannot be one.

    Not ReceiveMessage: with any wait and any visibility it counts as a receive of real messages.
    """
    nothing = "worker-check"
    calls = {
        "sqs:DeleteMessage": sqs.delete_message(QueueUrl=url, ReceiptHandle=nothing),
        "sqs:ChangeMessageVisibility": sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=nothing, VisibilityTimeout=0
        ),
    }
    return [await _permission(action, call) for action, call in calls.items()]


async def _permission(action: str, call: Any) -> Row:
    try:
        await call
    except ClientError as error:
        fault = fault_of(error)
        if fault.code not in {"ReceiptHandleIsInvalid", "InvalidParameterValue"}:
            return fail(action, fault.code, fault.remedy)
    except BotoCoreError as error:
        return fail(action, fault_of(error).code, fault_of(error).remedy)
    return ok(action, "allowed")


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} h"
