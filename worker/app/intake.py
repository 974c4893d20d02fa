"""Builds the intake: a consumer per queue, and what all of them share."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from worker.app.context import AppContext
from worker.app.idempotency import LEDGER, build_idempotency
from worker.app.jobs import event_reader
from worker.app.queues import OpenQueue, open_queues
from worker.clients.aws.crash_marks import CrashMarks
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
from worker.intake.router import Route, Routes
from worker.intake.settlement import Memory, Settlement
from worker.intake.source import Source
from worker.intake.unrouted import Unrouted
from worker.settings import Settings
from worker.telemetry import metrics

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
    return [LEDGER] if route.proof == "store" else []


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
    letters = DeadLetters(queue, settings.dead_letter_queue_for(binding.url))
    jobs = [delivery.jobs[job] for job in binding.jobs if job in delivery.jobs]
    return Consumer(
        Poller(queue, _poll_rules(settings), clock=clock, random=context.random),
        leases,
        Gate(binding.name, jobs, most_aside=ASIDE_PER_PERMIT * permits.count),
        permits,
        delivery,
        Settlement(acks, letters, memory, settings.retry, context.random),
        fifo=one.attributes.fifo,
    )


def _poll_rules(settings: Settings) -> PollRules:
    return PollRules(
        wait_seconds=settings.sqs.wait_seconds,
        visibility_seconds=settings.sqs.visibility_seconds,
        most_pollers=most_pollers(settings.sqs.concurrency),
    )
