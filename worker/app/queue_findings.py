"""What a queue and its dead-letter queue say of themselves, held against the settings. Pure.

`worker check` shows all of it; `worker run` warns of problems at its start.
"""

from collections.abc import Iterable, Iterator

from worker.clients.aws.sqs import QueueAttributes
from worker.findings import Finding
from worker.settings import Settings, heartbeat_capacity

LEAST_RECEIVES = 10
WANTED_RECEIVES = 50
"""Outages and drains count as receives too; the worker's own limit is the message's age."""

LEAST_VISIBILITY_SECONDS = 10


def queue_findings(
    name: str,
    attributes: QueueAttributes,
    dead_letters: QueueAttributes | None,
    settings: Settings,
) -> list[str]:
    """Return the problems of a queue and its dead-letter queue (None: there is none)."""
    return [
        *sentences(name, check_queue(attributes, settings)),
        *sentences(name, check_dead_letters(attributes, dead_letters)),
    ]


def sentences(name: str, findings: Iterable[Finding]) -> Iterator[str]:
    """Yield a sentence about the queue for each finding that is not ok."""
    for one in findings:
        if one.state != "ok":
            yield f"queue {name}: {one.name}: {one.found}; {one.remedy}"


def check_queue(attributes: QueueAttributes, settings: Settings) -> Iterator[Finding]:
    """Compare a queue with the settings; attributes it does not have are not checked."""
    yield _visibility(attributes, settings)
    if attributes.retention_seconds is not None:
        yield _retention(attributes.retention_seconds, settings.retry.horizon_seconds)
    yield _receives(attributes.max_receive_count)


def check_dead_letters(
    source: QueueAttributes, dead_letters: QueueAttributes | None
) -> Iterator[Finding]:
    """Compare a dead-letter queue with the queue it serves. None: there is none."""
    name = "dead-letter queue"
    if dead_letters is None:
        found = "not set: a message that can never succeed stays on the queue"
        yield Finding(name, "warn", found, "set SQS_DEAD_LETTER_QUEUE_URL")
        return
    yield _fitness(name, source, dead_letters)
    target = source.dead_letter_arn
    if target is not None and dead_letters.arn is not None and target != dead_letters.arn:
        yield Finding(
            "redrive policy",
            "warn",
            f"SQS moves messages to {target.rpartition(':')[2]}, which is not in "
            "SQS_DEAD_LETTER_QUEUE_URL",
            "use one queue for both: worker dlq and the alert on dead letters see no other",
        )


def _fitness(name: str, source: QueueAttributes, dead_letters: QueueAttributes) -> Finding:
    if dead_letters.arn is not None and dead_letters.arn == source.arn:
        remedy = "name another in SQS_DEAD_LETTER_QUEUE_URL"
        return Finding(name, "fail", "is the queue itself: dead letters come back", remedy)
    if dead_letters.fifo != source.fifo:
        found = "one queue is FIFO, the other is not"
        return Finding(name, "fail", found, "make both of the same kind")
    kept, source_kept = dead_letters.retention_seconds, source.retention_seconds
    if kept is None or source_kept is None:
        return Finding(name, "ok", f"reachable; {dead_letters.visible} messages")
    if kept <= source_kept:
        return Finding(
            name,
            "warn",
            f"keeps messages {_days(kept)}, the queue {_days(source_kept)}",
            "keep them longer: what SQS moves there brings its age along",
        )
    found = f"reachable; {dead_letters.visible} messages, kept {_days(kept)}"
    return Finding(name, "ok", found)


def _visibility(attributes: QueueAttributes, settings: Settings) -> Finding:
    name = "visibility timeout"
    own = settings.sqs.visibility_seconds
    seconds = own or attributes.visibility_seconds
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


def _retention(kept: int, horizon: float) -> Finding:
    name = "retention"
    if kept <= horizon:
        return Finding(
            name,
            "fail",
            f"{_days(kept)}, but retries go on for {_days(horizon)}",
            "raise MessageRetentionPeriod or lower RETRY_HORIZON_SECONDS: SQS drops messages that "
            "are not yet dead-lettered",
        )
    return Finding(name, "ok", f"{_days(kept)}; retries end after {_days(horizon)}")


def _receives(count: int | None) -> Finding:
    name = "maxReceiveCount"
    remedy = f"set it to {WANTED_RECEIVES}: outages and drains count as receives too"
    if count is None:
        found = "no redrive policy: a message that crashes us never leaves"
        return Finding(name, "warn", found, remedy)
    if count < LEAST_RECEIVES:
        found = f"{count}: an outage would dead-letter healthy messages"
        return Finding(name, "fail", found, remedy)
    if count < WANTED_RECEIVES:
        found = f"{count}: a long outage would dead-letter healthy messages"
        return Finding(name, "warn", found, remedy)
    return Finding(name, "ok", str(count))


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} h"
