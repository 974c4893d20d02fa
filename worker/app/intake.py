"""Builds the intake: a consumer per queue, and what all of them share."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from worker.app.context import AppContext
from worker.app.jobs import event_reader
from worker.app.queues import OpenQueue, open_queues
from worker.clients.aws.crash_marks import CrashMarks
from worker.clients.aws.idempotency import IdempotencyStore, IdempotencyTable
from worker.clients.aws.session import ClientLimits
from worker.intake.acks import Acks
from worker.intake.attempts import Attempts
from worker.intake.consumer import Consumer
from worker.intake.dead_letter_limit import DeadLetterLimit, Done
from worker.intake.dead_letters import DeadLetters
from worker.intake.delivery import Delivery, Reading
from worker.intake.gate import Gate
from worker.intake.idempotency import Idempotency
from worker.intake.job_state import JobState, Upstreams
from worker.intake.leases import Leases
from worker.intake.permits import Permits
from worker.intake.poller import Poller, PollRules, most_pollers
from worker.intake.router import Route, Routes, Source, Unrouted
from worker.intake.settlement import Memory, Settlement
from worker.settings import Settings
from worker.telemetry import metrics

IDEMPOTENCY = "idempotency"
"""Name of its upstream: jobs whose effects the store proves need it."""


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
    table = IdempotencyTable(
        client,
        settings.table,
        guard,
        time.time,
        lease_seconds=settings.lease_seconds,
        retention_seconds=settings.retention_seconds,
    )
    store = IdempotencyStore(table, settings.lease_seconds, fail_open=settings.fail_open)
    marks = CrashMarks(client, settings.table, guard, uuid4().hex, time.time)
    return Idempotency(store), marks


ASIDE_PER_PERMIT = 4
"""Messages in flight that may wait for an upstream which their job may miss."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The parts of the intake that the daemon drives and that /status shows."""

    consumers: Sequence[Consumer]
    permits: Permits
    delivery: Delivery
    limit: DeadLetterLimit
    queues: Sequence[OpenQueue]


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
    settings, clock = context.settings, asyncio.get_running_loop().time
    jobs: dict[str, JobState] = {}
    limit = DeadLetterLimit(settings.sqs.park_limit, partial(_done, jobs), clock, context.random)
    jobs |= _job_states(routes, context.upstreams, limit)
    delivery = Delivery(
        routes,
        reading,
        jobs,
        idempotency,
        marks,
        deadline_seconds=settings.handler.deadline_seconds,
    )
    permits = Permits(settings.sqs.concurrency, [one.binding.name for one in queues])
    memory = Memory(Attempts(), limit, lambda job: clock() - _done(jobs, job)[1])
    consumers = [_consumer(context, one, delivery, permits, memory) for one in queues]
    metrics.concurrency_limit.set(permits.count)
    metrics.inflight.set_function(lambda: len(delivery.running))
    metrics.pollers.set_function(lambda: sum(one.pollers for one in consumers))
    return Intake(consumers, permits, delivery, limit, queues)


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


def _job_states(
    routes: Routes, upstreams: Upstreams, limit: DeadLetterLimit
) -> dict[str, JobState]:
    clock = asyncio.get_running_loop().time
    return {
        job: JobState(
            job,
            needs=[*_store(route), *sorted(route.needs)],
            may_miss=sorted(route.may_miss),
            upstreams=upstreams,
            limit=limit,
            clock=clock,
        )
        for job, route in routes.items()
    }


def _done(jobs: Mapping[str, JobState], job: str | None) -> Done:
    """Return what a job has done, and when last; all of them for None."""
    some = list(jobs.values()) if job is None else [jobs[job]]
    return sum(one.done for one in some), max((one.done_at for one in some), default=0.0)


def _store(route: Route) -> list[str]:
    return [IDEMPOTENCY] if route.proof == "store" else []


def _consumer(
    context: AppContext, one: OpenQueue, delivery: Delivery, permits: Permits, memory: Memory
) -> Consumer:
    settings, clock = context.settings, asyncio.get_running_loop().time
    binding, queue = one.binding, one.queue
    source = Source(
        binding.name, binding.url, frozenset(binding.jobs), binding.bound, queue.age_seconds
    )
    leases = Leases(queue, source, visibility_seconds=one.visibility_seconds, clock=clock)
    acks = Acks(
        queue,
        leases,
        flush_seconds=settings.sqs.ack_flush_milliseconds / 1000,
        random=context.random,
    )
    dead_letters = DeadLetters(queue, settings.dead_letter_queue_for(binding.url))
    jobs = [delivery.jobs[job] for job in binding.jobs if job in delivery.jobs]
    return Consumer(
        Poller(queue, _poll_rules(settings), clock=clock, random=context.random),
        leases,
        Gate(binding.name, jobs, most_aside=ASIDE_PER_PERMIT * permits.count),
        permits,
        delivery,
        Settlement(acks, dead_letters, memory, settings.retry, context.random),
        fifo=one.attributes.fifo,
    )


def _poll_rules(settings: Settings) -> PollRules:
    return PollRules(
        wait_seconds=settings.sqs.wait_seconds,
        visibility_seconds=settings.sqs.visibility_seconds,
        most_pollers=most_pollers(settings.sqs.concurrency),
    )
