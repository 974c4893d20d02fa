"""Opens the queues: waits for one that does not answer yet, and refuses what is wrong in itself."""

import asyncio
from collections.abc import Sequence
from itertools import chain

import structlog

from worker.app.context import AppContext
from worker.app.findings import check_queue, queue_findings, sentences, unread_dead_letters
from worker.clients.aws import ClientLimits, Queue, QueueAttributes, QueueError
from worker.errors import ConfigurationError
from worker.intake import OpenQueue, most_pollers
from worker.settings import QueueBinding, Settings

ASKED = "sqs:GetQueueAttributes"
"""What the start asks of each queue, and a role may be denied."""

log = structlog.get_logger(__name__)

READ_MARGIN_SECONDS = 10
"""The reply to a long poll may come that much later than its wait."""

ACK_SECONDS = 5
LONGEST_PAUSE_SECONDS = 5.0

NO_VISIBILITY_TIMEOUT = (
    "SQS_VISIBILITY_SECONDS: is not set, and the VisibilityTimeout of queue {name} is 0 — other "
    "consumers would receive what is in flight here"
)


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
    """Return the problems found with the queues: none stops the start."""
    found = await asyncio.gather(*(_findings(one, settings) for one in queues))
    return tuple(chain.from_iterable(found))


async def _findings(one: OpenQueue, settings: Settings) -> list[str]:
    """Return what `worker check` would find wrong with a queue and its dead-letter queue."""
    name, attributes = one.binding.name, one.attributes
    url = settings.dead_letter_queue_for(one.binding.url)
    if url is None:
        return queue_findings(name, attributes, None, settings)
    try:
        dead_letters = await one.queue.attributes(url)
    except QueueError as error:
        unread = unread_dead_letters(error)
        return [*sentences((*check_queue(attributes, settings), unread), f"queue {name}: ")]
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
