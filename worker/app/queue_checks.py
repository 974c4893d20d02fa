"""What the attributes of a queue and of its dead-letter queue mean for the worker. Pure.

`worker check` shows all of it; `worker run` warns of what is not ok.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from worker.settings import Settings, heartbeat_capacity

LEAST_RECEIVES = 10
WANTED_RECEIVES = 50
"""Outages and drains count as receives too; the worker's own limit is the message's age."""

LEAST_VISIBILITY_SECONDS = 10

Attributes = Mapping[str, str]
"""All attributes of a queue, as GetQueueAttributes gives them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact of a queue."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""
    """What to do; empty when it is ok."""


def judge_queue(attributes: Attributes, settings: Settings) -> Iterator[Finding]:
    """Compare a queue's attributes with the settings."""
    yield _visibility(attributes, settings)
    yield _retention(attributes, settings)
    yield _receives(attributes)


def judge_dead_letters(source: Attributes, dead_letters: Attributes | None) -> Iterator[Finding]:
    """Compare a dead-letter queue with the queue it serves. None: there is none."""
    name = "dead-letter queue"
    if dead_letters is None:
        found = "not set: a message that can never succeed stays on the queue"
        yield Finding(name, "warn", found, "set SQS_DEAD_LETTER_QUEUE_URL")
        return
    yield _same_kind(name, source, dead_letters)
    target = orjson.loads(source.get("RedrivePolicy", "{}")).get("deadLetterTargetArn")
    if target not in (None, dead_letters.get("QueueArn")):
        yield Finding(
            "redrive policy",
            "warn",
            f"SQS moves messages to {str(target).rpartition(':')[2]}, which is not in "
            "SQS_DEAD_LETTER_QUEUE_URL",
            "use one queue for both: worker dlq and the alert on dead letters see no other",
        )


def _same_kind(name: str, source: Attributes, dead_letters: Attributes) -> Finding:
    if dead_letters.get("QueueArn") == source.get("QueueArn"):
        remedy = "name another in SQS_DEAD_LETTER_QUEUE_URL"
        return Finding(name, "fail", "is the queue itself", remedy)
    if dead_letters.get("FifoQueue") != source.get("FifoQueue"):
        found = "one queue is FIFO, the other is not"
        return Finding(name, "fail", found, "make both of the same kind")
    kept, source_kept = (int(q.get("MessageRetentionPeriod", 0)) for q in (dead_letters, source))
    if kept <= source_kept:
        return Finding(
            name,
            "warn",
            f"keeps messages {_days(kept)}, the queue {_days(source_kept)}",
            "keep them longer: what SQS moves there brings its age along",
        )
    waiting = dead_letters.get("ApproximateNumberOfMessages", "?")
    return Finding(name, "ok", f"reachable; {waiting} messages, kept {_days(kept)}")


def _visibility(attributes: Attributes, settings: Settings) -> Finding:
    name = "visibility timeout"
    own = settings.sqs.visibility_seconds
    seconds = own or int(attributes.get("VisibilityTimeout", 0))
    found = f"{seconds} s, from {'SQS_VISIBILITY_SECONDS' if own else 'the queue'}"
    remedy = "raise the queue's VisibilityTimeout, or set SQS_VISIBILITY_SECONDS"
    if seconds < LEAST_VISIBILITY_SECONDS:
        return Finding(name, "fail", f"{found}: too short for a heartbeat", remedy)
    if settings.sqs.concurrency > (capacity := heartbeat_capacity(seconds)):
        found += f": the heartbeat can keep {capacity} messages"
        return Finding(name, "fail", found, remedy)
    if seconds < settings.handler.deadline_seconds:
        found += f"; the heartbeat bridges to {settings.handler.deadline_seconds:g} s"
    return Finding(name, "ok", found)


def _retention(attributes: Attributes, settings: Settings) -> Finding:
    name = "retention"
    kept, horizon = int(attributes.get("MessageRetentionPeriod", 0)), settings.retry.horizon_seconds
    if kept <= horizon:
        return Finding(
            name,
            "fail",
            f"{_days(kept)}, but retries go on for {_days(horizon)}",
            "raise MessageRetentionPeriod or lower RETRY_HORIZON_SECONDS: SQS drops messages that "
            "are not yet dead-lettered",
        )
    return Finding(name, "ok", f"{_days(kept)}; retries end after {_days(horizon)}")


def _receives(attributes: Attributes) -> Finding:
    name = "maxReceiveCount"
    policy = orjson.loads(attributes.get("RedrivePolicy", "{}"))
    count = int(policy.get("maxReceiveCount", 0))
    remedy = f"set it to {WANTED_RECEIVES}: outages and drains count as receives too"
    if not count:
        found = "no redrive policy: a message that crashes us never leaves"
        return Finding(name, "warn", found, remedy)
    if count < LEAST_RECEIVES:
        found = f"{count}: an outage would dead-letter healthy messages"
        return Finding(name, "fail", found, remedy)
    if count < WANTED_RECEIVES:
        return Finding(name, "warn", str(count), remedy)
    return Finding(name, "ok", str(count))


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} h"
