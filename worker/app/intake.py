"""Builds the intake: queue, slots, leases, acks, delivery, consumer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from worker.app.ledger import build_ledger
from worker.app.outage import OutageJudge
from worker.app.workshop import Workshop
from worker.clients.aws.session import ClientLimits
from worker.errors import ConfigurationError
from worker.intake.acks import Acks
from worker.intake.consumer import Consumer, Hold, most_pollers
from worker.intake.delivery import Delivery, Desk, Rules, Safety
from worker.intake.jobs import Jobs
from worker.intake.leases import Leases
from worker.intake.park_limit import ParkLimit
from worker.intake.parking import Parking
from worker.intake.polls import PollRules, Polls
from worker.intake.queue import MAX_BATCH, Queue, QueueAttributes, QueueError
from worker.intake.router import Router
from worker.intake.slots import Slots
from worker.intake.suspects import Suspects
from worker.intake.unrouted import UnroutedTypes
from worker.intake.valve import Valve
from worker.intake.waiting_room import WaitingRoom, Waits
from worker.settings import Settings

READ_MARGIN_SECONDS = 10
"""The reply to a long poll may come that much later than its wait."""

START_ATTEMPTS = 5

WAITING_SHARE = 4
"""One slot in so many may be held by a message that waits for an upstream."""

NOTHING_HIDDEN = (
    "SQS_VISIBILITY_SECONDS: is missing, and the queue's own VisibilityTimeout is 0 — others would "
    "be given what is in hand here"
)


@dataclass(frozen=True, slots=True)
class Intake:
    """The parts of the intake that the daemon drives."""

    queue: Queue
    leases: Leases
    acks: Acks
    consumer: Consumer
    park_limit: ParkLimit
    room: WaitingRoom


async def build_intake(
    workshop: Workshop, router: Router, credentials: Callable[[], str | None] = lambda: None
) -> Intake:
    """Open the SQS clients and join the intake to its router.

    `credentials`: what is wrong with them; nothing is received while that lasts.

    Raises ConfigurationError when the queue cannot be read: nothing could be leased safely then.
    """
    settings, clock = workshop.settings, asyncio.get_running_loop().time
    queue = await open_queue(workshop)
    attributes = await _read(queue)
    visibility = settings.sqs.visibility_seconds or attributes.visibility_seconds
    if not visibility:
        raise ConfigurationError([NOTHING_HIDDEN])
    leases = Leases(queue, visibility_seconds=visibility, clock=clock)
    flush_seconds = settings.sqs.ack_flush_milliseconds / 1000
    acks = Acks(queue, leases, flush_seconds=flush_seconds, random=workshop.random)
    park_limit = ParkLimit(settings.sqs.park_limit, clock)
    suspects = Suspects(clock)
    judge = OutageJudge(router.all(), workshop.guards, park_limit, credentials)
    valve = Valve(judge, suspects.allowance)
    room = WaitingRoom(
        acks, valve, _waits(settings, fifo=attributes.fifo), judge.state_of, workshop.random
    )
    delivery = Delivery(
        await _desk(workshop, router, queue, acks),
        Rules(settings.events, settings.retry, UnroutedTypes(clock)),
        Safety(valve, suspects, park_limit, room),
        random=workshop.random,
    )
    hold = Hold(Slots(settings.sqs.concurrency), leases, acks)
    consumer = Consumer(_polls(workshop, queue), hold, delivery, valve, fifo=attributes.fifo)
    return Intake(queue, leases, acks, consumer, park_limit, room)


async def _desk(workshop: Workshop, router: Router, queue: Queue, acks: Acks) -> Desk:
    settings = workshop.settings
    dead_letters = settings.sqs.dead_letter_queue_url
    ledger = await build_ledger(workshop)
    return Desk(
        router=router,
        jobs=Jobs(ledger, deadline_seconds=settings.handler.deadline_seconds),
        acks=acks,
        parking=Parking(queue, str(dead_letters) if dead_letters else None),
    )


def _waits(settings: Settings, *, fifo: bool) -> Waits:
    # The head of a group may hold the slots of nine followers.
    share = WAITING_SHARE * MAX_BATCH if fifo else WAITING_SHARE
    retry = settings.retry
    return Waits(settings.sqs.concurrency // share, retry.cap_seconds, retry.horizon_seconds)


def _polls(workshop: Workshop, queue: Queue) -> Polls:
    settings = workshop.settings.sqs
    rules = PollRules(
        wait_seconds=settings.wait_seconds,
        visibility_seconds=settings.visibility_seconds,
        most_pollers=most_pollers(settings.concurrency),
    )
    clock = asyncio.get_running_loop().time
    return Polls(queue, rules, clock=clock, random=workshop.random)


async def open_queue(workshop: Workshop) -> Queue:
    """Open the queue with its two clients: one for long polls, one for everything else."""
    sqs = workshop.settings.sqs
    polls = await workshop.aws_client(
        "sqs",
        ClientLimits(
            pool=most_pollers(sqs.concurrency) + 2,
            read_seconds=sqs.wait_seconds + READ_MARGIN_SECONDS,
            attempts=1,  # the poller itself backs off, with every failure counted
        ),
    )
    acks = await workshop.aws_client("sqs", ClientLimits(pool=20, read_seconds=5, attempts=2))
    return Queue(str(sqs.queue_url), polls=polls, acks=acks)


async def _read(queue: Queue) -> QueueAttributes:
    """Read the queue's attributes, patient with an outage and not with a wrong name."""
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            return await queue.attributes()
        except QueueError as error:
            if error.broken or attempt == START_ATTEMPTS:
                raise ConfigurationError(
                    [f"SQS_QUEUE_URL: the queue's attributes cannot be read ({error.code})"]
                ) from error
            await asyncio.sleep(attempt)
    raise AssertionError  # the loop returns or raises
