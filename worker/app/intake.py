"""Builds the intake: opens its queues and stores, builds the jobs that are on, and joins them.

A queue that does not answer yet is waited for; one that is wrong in itself is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any

import structlog
from msgspec import Struct

from worker.api import Handler, Job, Result
from worker.app.context import AppContext, JobContext
from worker.app.findings import check_queue, queue_findings, sentences, unread_dead_letters
from worker.app.jobs import event_reader, known_jobs, needed
from worker.clients import AGENT_LIMITS, TASK_PROTECTION, HttpClient, TaskProtection, expiry_minutes
from worker.clients.aws import (
    ClientLimits,
    CrashMarks,
    Queue,
    QueueAttributes,
    QueueError,
    store_and_marks,
)
from worker.errors import ConfigurationError
from worker.intake import (
    IDEMPOTENCY,
    Delivery,
    Idempotency,
    Intake,
    Jobs,
    OpenQueue,
    Reading,
    Route,
    Routes,
    Unrouted,
    assemble,
    most_pollers,
)
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


async def build_routes(context: AppContext) -> Routes:
    """Return the routes of the jobs that are on. A job that is off is not even built.

    Raises ConfigurationError for the name of an upstream that there is not: what is needed would
    never be waited for.
    """
    on = context.settings.enabled_jobs()
    routes = {name: await _route(context, known_jobs()[name]) for name in on}
    _check(routes, context.upstreams.names())
    return routes


async def build_handler(context: AppContext, job: Job[Any]) -> Handler:
    """Return the handler of a job, under the settings of the context."""
    return await job.build(JobContext(job.name, context), context.settings.jobs[job.name])


async def _route(context: AppContext, job: Job[Any]) -> Route:
    settings = context.settings.jobs[job.name]
    deadline = _value(settings, job.deadline)
    run = await build_handler(context, job)
    return Route(
        job=job.name,
        run=await _protected(context, run, deadline) if job.background else run,
        needs=context.upstreams_of(job.name, needed(job, settings)),
        may_miss=context.upstreams_of(job.name, job.may_miss),
        deadline_seconds=deadline,
        age_limit_seconds=_value(settings, job.age_limit),
        degrade_after_seconds=_value(settings, job.degrade_after),
        proof=job.proof,
    )


def _value(settings: Any, field: str | None) -> float | None:
    return None if field is None else getattr(settings, field)


def _check(routes: Routes, names: frozenset[str]) -> None:
    problems = [
        f"job {route.job}: there is no upstream {name}"
        for route in routes.values()
        for name in sorted((route.needs | route.may_miss) - names)
    ]
    if problems:
        raise ConfigurationError(problems)


class Protected(Struct, frozen=True):
    """A handler during whose runs ECS does not scale the task in."""

    run: Handler
    protection: TaskProtection

    async def __call__(self, event: Any) -> Result:
        """Run; raises what the handler raises, and nothing for the protection's sake."""
        async with self.protection.while_busy():
            return await self.run(event)


async def _protected(
    context: AppContext, run: Handler, deadline_seconds: float | None
) -> Callable[[Any], Awaitable[Result]]:
    """Return `run`, protected while it runs; as it is where there is no ECS agent."""
    agent = context.settings.ecs.agent_uri
    if agent is None:
        return run
    http = HttpClient(TASK_PROTECTION, str(agent), AGENT_LIMITS, plain_host=agent.host)
    await context.stack.enter_async_context(http)
    longest = deadline_seconds or context.settings.handler.deadline_seconds
    protection = TaskProtection(http, minutes=expiry_minutes(longest))
    context.stack.push_async_callback(protection.aclose)
    return Protected(run, protection)


async def build_idempotency(context: AppContext) -> tuple[Idempotency, CrashMarks | None]:
    """Return the idempotency store, and the marks of messages in flight, both in LEDGER_TABLE.

    Without a table each process remembers for itself, and there are no marks.
    """
    settings = context.settings.idempotency
    if settings.table is None:
        return Idempotency(), None
    limits = ClientLimits(pool=context.settings.sqs.concurrency, read_seconds=3, attempts=4)
    client = await context.aws_client("dynamodb", limits)
    guard = context.upstreams.aws(IDEMPOTENCY)
    store, marks = store_and_marks(client, settings.table, settings, guard)
    return Idempotency(store), marks


async def build_intake(context: AppContext, routes: Routes) -> Intake:
    """Open the queues and join them to the jobs.

    Raises ConfigurationError for what is wrong in a setting, Unreachable when SQS does not answer.
    """
    queues = await open_queues(context)
    idempotency, marks = await build_idempotency(context)
    return join_intake(context, routes, queues, reading_of(context.settings), idempotency, marks)


def join_intake(
    context: AppContext,
    routes: Routes,
    queues: Sequence[OpenQueue],
    reading: Reading,
    idempotency: Idempotency,
    marks: CrashMarks | None,
) -> Intake:
    """Join queues that are open to the jobs."""
    settings, random = context.settings, context.random
    context.shared.once = idempotency.once
    limit = settings.sqs.park_limit
    jobs = Jobs(routes, context.upstreams, dead_letters=limit, random=random)
    deadline = settings.handler.deadline_seconds
    delivery = Delivery(routes, reading, jobs.states, idempotency, marks, deadline_seconds=deadline)
    return assemble(queues, jobs, delivery, settings, random)


def reading_of(settings: Settings) -> Reading:
    """Return how bodies are read, and what becomes of those that no job wants."""
    read = event_reader(settings)
    unrouted = Unrouted(
        dead_letter=settings.events.unrouted == "park",
        jobs_of_type=read.jobs_of,
        half_configured=settings.half_configured(),
        clock=asyncio.get_running_loop().time,
    )
    return Reading(read.parse, read.read, unrouted)
