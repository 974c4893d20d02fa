"""One queue that is open, and the parts that take its messages, built together."""

import asyncio
from random import Random

from msgspec import Struct

from worker.clients.aws import Queue, QueueAttributes
from worker.intake.acks import Acks
from worker.intake.consumer import Consumer
from worker.intake.dead_letters import DeadLetters
from worker.intake.delivery import Delivery
from worker.intake.gate import Gate
from worker.intake.leases import Leases
from worker.intake.poller import Permits, Poller, PollSettings, most_pollers
from worker.intake.router import Source
from worker.intake.settlement import Memory, Settlement
from worker.settings import QueueBinding, Settings

ASIDE_PER_PERMIT = 4
"""Messages in flight that may wait for an upstream which their job may miss."""


class OpenQueue(Struct, frozen=True):
    """A queue that answered, with what it says of itself."""

    binding: QueueBinding
    queue: Queue
    attributes: QueueAttributes
    visibility_seconds: float


class Shared(Struct, frozen=True):
    """What the queues of a worker share."""

    delivery: Delivery
    permits: Permits
    memory: Memory


def consumer_of(one: OpenQueue, shared: Shared, settings: Settings, random: Random) -> Consumer:
    """Build what polls a queue, works on its messages and settles them."""
    binding, queue, clock = one.binding, one.queue, asyncio.get_running_loop().time
    jobs = frozenset(binding.jobs)
    source = Source(binding.name, binding.url, jobs, binding.bound, queue.age_seconds)
    leases = Leases(queue, source, visibility_seconds=one.visibility_seconds, clock=clock)
    flush_seconds = settings.sqs.ack_flush_milliseconds / 1000
    acks = Acks(queue, leases, flush_seconds=flush_seconds, random=random)
    dead_letters = DeadLetters(queue, settings.dead_letter_queue_for(binding.url))
    delivery, permits = shared.delivery, shared.permits
    states = [delivery.jobs[job] for job in binding.jobs if job in delivery.jobs]
    return Consumer(
        Poller(queue, _poll_settings(settings), clock=clock, random=random),
        leases,
        Gate(binding.name, states, most_aside=ASIDE_PER_PERMIT * permits.count),
        permits,
        delivery,
        Settlement(acks, dead_letters, shared.memory, settings.retry, random),
        fifo=one.attributes.fifo,
    )


def _poll_settings(settings: Settings) -> PollSettings:
    return PollSettings(
        wait_seconds=settings.sqs.wait_seconds,
        visibility_seconds=settings.sqs.visibility_seconds,
        most_pollers=most_pollers(settings.sqs.concurrency),
    )
