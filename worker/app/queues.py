"""Opens the queues: waits for one that does not answer yet, and refuses what is wrong in itself."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import structlog

from worker.app.context import AppContext
from worker.clients.aws import ClientLimits, Queue, QueueAttributes, QueueError
from worker.errors import ConfigurationError
from worker.findings import Finding
from worker.intake import LAST_HORIZON, OpenQueue, most_pollers
from worker.settings import QueueBinding, Settings, heartbeat_capacity

LEAST_RECEIVES = 10
WANTED_RECEIVES = 50
"""Outages and drains count as receives too; the worker's own limit is the message's age."""

LEAST_VISIBILITY_SECONDS = 10
ASKED = "sqs:GetQueueAttributes"
"""What the start asks of each queue, and a role may be denied."""


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
    if kept <= LAST_HORIZON * horizon:
        found = f"{_days(kept)}, but in an outage retries go on for {_days(LAST_HORIZON * horizon)}"
        return Finding(name, "warn", found, "raise MessageRetentionPeriod: SQS drops what is older")
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


log = structlog.get_logger(__name__)

READ_MARGIN_SECONDS = 10
"""The reply to a long poll may come that much later than its wait."""

ACK_SECONDS = 5
LONGEST_PAUSE_SECONDS = 5.0

NO_VISIBILITY_TIMEOUT = (
    "SQS_VISIBILITY_SECONDS: is not set, and the VisibilityTimeout of queue {name} is 0 — other "
    "consumers would receive what is in flight here"
)

UNREAD_REMEDY = "check SQS_DEAD_LETTER_QUEUE_URL, and the permission sqs:GetQueueAttributes on it"


class Unreachable(Exception):
    """SQS did not answer within SQS_START_SECONDS."""


async def open_queues(context: AppContext) -> list[OpenQueue]:
    """Open all queues of SQS_QUEUE_URL.

    Raises ConfigurationError for one that does not exist, Unreachable when SQS_START_SECONDS pass
    without an answer.
    """
    bindings = context.settings.queues()
    return list(await asyncio.gather(*(_open(context, binding) for binding in bindings)))


async def _open(context: AppContext, binding: QueueBinding) -> OpenQueue:
    queue = await connect(context, binding.url)
    attributes = await _answered(context, binding, queue)
    visibility = context.settings.sqs.visibility_seconds or attributes.visibility_seconds
    if not visibility:
        raise ConfigurationError([NO_VISIBILITY_TIMEOUT.format(name=binding.name)])
    return OpenQueue(binding, queue, attributes, visibility)


async def warnings_of(queues: Sequence[OpenQueue], settings: Settings) -> tuple[str, ...]:
    """Return the problems found with the queues, and log them once: none stops the start."""
    found = await asyncio.gather(*(_findings(one, settings) for one in queues))
    warnings = tuple(chain.from_iterable(found))
    for warning in warnings:
        log.warning("queue_warning", finding=warning)
    return warnings


async def _findings(one: OpenQueue, settings: Settings) -> list[str]:
    """Return what `worker check` would find wrong with a queue and its dead-letter queue."""
    name, attributes = one.binding.name, one.attributes
    url = settings.dead_letter_queue_for(one.binding.url)
    if url is None:
        return queue_findings(name, attributes, None, settings)
    try:
        dead_letters = await one.queue.attributes(url)
    except QueueError as error:
        unread = Finding("dead-letter queue", "warn", f"cannot be read: {error}", UNREAD_REMEDY)
        return [*sentences(name, (*check_queue(attributes, settings), unread))]
    return queue_findings(name, attributes, dead_letters, settings)


async def connect(context: AppContext, url: str) -> Queue:
    """Open a queue with its two clients: one for long polls, one for everything else."""
    sqs = context.settings.sqs
    longest = sqs.wait_seconds + READ_MARGIN_SECONDS
    polls = await context.aws_client(
        "sqs",
        ClientLimits(
            pool=most_pollers(sqs.concurrency) + 2,
            read_seconds=longest,
            total_seconds=longest + READ_MARGIN_SECONDS,
            attempts=1,  # the poller itself backs off, with every failure counted
        ),
    )
    acks = await context.aws_client(
        "sqs",
        ClientLimits(pool=20, read_seconds=ACK_SECONDS, total_seconds=ACK_SECONDS, attempts=2),
    )
    return Queue(url, polls=polls, acks=acks)


async def _answered(context: AppContext, binding: QueueBinding, queue: Queue) -> QueueAttributes:
    """Read the attributes; a queue that does not answer, or not yet to us, is waited for."""
    loop = asyncio.get_running_loop()
    until = loop.time() + context.settings.sqs.start_seconds
    pause = 0.5
    while True:
        try:
            return await queue.attributes()
        except QueueError as error:
            if error.missing:
                problem = f"SQS_QUEUE_URL: queue {binding.name} does not exist ({error.code})"
                raise ConfigurationError([problem]) from error
            if loop.time() >= until:
                raise Unreachable(f"queue {binding.name}: {ASKED}: {error.code}") from error
            log.log(
                40 if error.broken else 30,  # a denial does not end by itself
                "queue_not_answering",
                queue=binding.name,
                action=ASKED,
                code=error.code,
            )
        await asyncio.sleep(min(pause, max(0.0, until - loop.time())))
        pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
