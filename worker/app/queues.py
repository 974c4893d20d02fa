"""Opens the queues: waits for one that does not answer yet, and refuses what is wrong in itself."""

import asyncio
from dataclasses import dataclass

import structlog

from worker.app.context import AppContext
from worker.app.queue_findings import check_queue, queue_findings, sentences
from worker.clients.aws.errors import QueueError
from worker.clients.aws.session import ClientLimits
from worker.clients.aws.sqs import Queue, QueueAttributes
from worker.errors import ConfigurationError
from worker.findings import Finding
from worker.intake.poller import most_pollers
from worker.settings import Settings
from worker.settings.bindings import QueueBinding

log = structlog.get_logger(__name__)

READ_MARGIN_SECONDS = 10
"""The reply to a long poll may come that much later than its wait."""

ACK_SECONDS = 5
LONGEST_PAUSE_SECONDS = 5.0

NO_VISIBILITY_TIMEOUT = (
    "SQS_VISIBILITY_SECONDS: is missing, and the VisibilityTimeout of queue {name} is 0 — other "
    "consumers would receive what is in flight here"
)

UNREAD_REMEDY = "check SQS_DEAD_LETTER_QUEUE_URL, and the permission sqs:GetQueueAttributes on it"


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """A queue that answered, with what it says of itself."""

    binding: QueueBinding
    queue: Queue
    attributes: QueueAttributes
    visibility_seconds: float


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


async def findings_of(one: OpenQueue, settings: Settings) -> list[str]:
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
                raise Unreachable(f"queue {binding.name}: {error.code}") from error
            log.warning("queue_not_answering", queue=binding.name, code=error.code)
        await asyncio.sleep(min(pause, max(0.0, until - loop.time())))
        pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
