"""Builds the intake: opens its stores and queues, and hands them to the package that joins them."""

import asyncio
from collections.abc import Sequence

from worker.app.context import AppContext
from worker.app.jobs import event_reader
from worker.app.queues import open_queues
from worker.clients.aws import ClientLimits, CrashMarks, store_and_marks
from worker.intake import (
    IDEMPOTENCY,
    Delivery,
    Idempotency,
    Intake,
    Jobs,
    OpenQueue,
    Reading,
    Routes,
    Unrouted,
    assemble,
)
from worker.settings import Settings


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
    return Reading(read, unrouted)
