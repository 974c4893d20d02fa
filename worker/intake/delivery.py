"""One message, from its body to its fate: open, handle, settle. Start reading here."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import structlog

from worker.errors import Permanent
from worker.events.normaliser import Unrouted, open_events
from worker.events.types import Event
from worker.intake.acks import Acks
from worker.intake.history import History
from worker.intake.jobs import Jobs
from worker.intake.leases import Lease
from worker.intake.message import Message
from worker.intake.outcome import (
    Done,
    Failure,
    Outcome,
    Park,
    Release,
    Retry,
    backoff_seconds,
    outcome_of,
)
from worker.intake.park_limit import ParkLimit
from worker.intake.parking import Parking
from worker.intake.router import Job, Router
from worker.intake.suspects import Suspects
from worker.intake.unrouted import UnroutedTypes
from worker.intake.valve import Valve
from worker.intake.waiting_room import WaitingRoom
from worker.settings import Events
from worker.settings import Retry as RetrySettings
from worker.telemetry import metrics
from worker.telemetry.context import log_fields
from worker.telemetry.tracing import MessageSpan, tracing

log = structlog.get_logger(__name__)

UNPARKED_RETRY_SECONDS = 60
"""When a message that could not be parked is looked at again."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a message goes: to its handlers, and then back, away or aside."""

    router: Router
    jobs: Jobs
    acks: Acks
    parking: Parking


@dataclass(frozen=True, slots=True)
class Rules:
    """How messages are read and when they come back."""

    events: Events
    retry: RetrySettings
    unrouted: UnroutedTypes


@dataclass(frozen=True, slots=True)
class Safety:
    """What holds messages back for their own good."""

    valve: Valve
    suspects: Suspects
    park_limit: ParkLimit
    room: WaitingRoom


class Delivery:
    """Works off one message. Its slot is given back when the handlers are through."""

    def __init__(self, desk: Desk, rules: Rules, safety: Safety, *, random: Random) -> None:
        self._desk = desk
        self._rules = rules
        self._safety = safety
        self._random = random
        self._history = History()

    async def __call__(self, lease: Lease, free_slot: Callable[[], None]) -> bool:
        """Open, handle, settle; True when the message is gone from the queue."""
        message = lease.message
        with (
            log_fields(message_id=message.id, receive_count=message.receive_count),
            tracing().process(message.id, message.cause) as span,
        ):
            try:
                outcome = await self._handle(lease)
            finally:
                lease.task, lease.settled = None, True
                free_slot()
            _note(span, outcome)
            return await self._settle(lease, outcome)

    def gave_back(self, message: Message) -> None:
        """Note a message that was shown again untried: its receive says nothing against it."""
        self._history.gave_back(message.id)

    async def _handle(self, lease: Lease) -> Outcome | Release:
        if self._desk.acks.finished(lease.message.id):
            metrics.messages_duplicate.inc()
            return Done()
        if lease.why_cancelled:  # before it began
            return Release()
        lease.task = asyncio.current_task()
        try:
            return await self._run(lease.message)
        except asyncio.CancelledError:
            if lease.why_cancelled is None or lease.task is None:
                raise  # not by us: the process is being torn down
            lease.task.uncancel()
            return Release()

    async def _run(self, message: Message) -> Outcome:
        known = self._history.knows(message.id)
        suspect = self._safety.suspects.meet(message, known=known)
        try:
            events = await self._open(message, suspect=suspect)
        except Permanent as error:
            return outcome_of(error)
        if isinstance(events, Unrouted):
            return self._unwanted(events.detail_type)
        origin = events[0].origin
        jobs = self._desk.router.jobs(events)
        handlers = [job.route.handler for job in jobs]
        tracing().describe(origin.detail_type, origin.correlation_id, handlers)
        with log_fields(event_id=origin.event_id, correlation_id=origin.correlation_id):
            if not jobs:
                return self._unwanted(origin.detail_type)
            return await self._attend(message, jobs, suspect=suspect)

    async def _open(self, message: Message, *, suspect: bool) -> tuple[Event, ...] | Unrouted:
        if not suspect:
            return open_events(message.body, self._rules.events)
        async with self._safety.suspects.place(alone=True, quiet=True):  # its body may kill
            return open_events(message.body, self._rules.events)

    async def _attend(self, message: Message, jobs: list[Job], *, suspect: bool) -> Outcome:
        """Run the handlers; while an outage lets none succeed, the message waits here for more."""
        valve, suspects = self._safety.valve, self._safety.suspects
        while True:
            async with valve.run(), suspects.place(alone=suspect):
                outcome = await self._desk.jobs.run(jobs)
            if not (isinstance(outcome, Retry) and outcome.outage):
                return outcome
            if valve.verdict().state == "flow":
                stayed = not suspect and await self._safety.room.stay(message, outcome)
                if not stayed:
                    return outcome

    def _unwanted(self, detail_type: str) -> Outcome:
        self._rules.unrouted.seen(detail_type)
        if self._rules.events.unrouted == "drop":
            return Done()
        return outcome_of(Permanent(f"detail-type: no handler wants {detail_type[:100]}"))

    async def _settle(self, lease: Lease, outcome: Outcome | Release) -> bool:
        """Say the last word to SQS; a lost lease leaves no right to say anything."""
        if lease.lost:
            metrics.messages_released.labels("lease_lost").inc()
            return False
        if isinstance(outcome, Park):
            return await self._park(lease, outcome.failure)
        self._safety.park_limit.done()
        if isinstance(outcome, Done):
            return await self._finish(lease)
        if isinstance(outcome, Retry):
            return await self._retry(lease, outcome)
        return await self._show_again(lease, 0, "drain")

    async def _finish(self, lease: Lease) -> bool:
        message = lease.message
        self._history.forget(message.id)
        deleted = await self._desk.acks.delete(lease)
        await self._safety.room.call_back()
        metrics.last_success.set_to_current_time()
        if message.sent_at is not None:
            metrics.message_age.observe(max(0.0, time.time() - message.sent_at))
        return deleted

    async def _park(self, lease: Lease, failure: Failure) -> bool:
        message = lease.message
        if not self._safety.park_limit.admit():
            return await self._show_again(lease, UNPARKED_RETRY_SECONDS, "park_limit")
        attempts = self._history.failed(
            message.id, receive_count=message.receive_count, now=time.time()
        )
        if await self._desk.parking.park(message, failure, attempts):
            self._history.forget(message.id)
            return await self._desk.acks.delete(lease)
        # Not deleted: a lost message is worse than a second one.
        return await self._show_again(lease, UNPARKED_RETRY_SECONDS, "park_failed")

    async def _retry(self, lease: Lease, retry: Retry) -> bool:
        message, now = lease.message, time.time()
        rules = self._rules.retry
        if message.sent_at is not None and now - message.sent_at > rules.horizon_seconds:
            return await self._park(lease, _given_up(retry.failure))
        attempts = self._history.failed(message.id, receive_count=message.receive_count, now=now)
        hide = self._safety.room.hide_seconds(message, retry)
        if hide is not None:
            await self._show_again(lease, hide, "retry")
            self._safety.room.remember(lease, retry, hide)
            return False
        backoff = backoff_seconds(
            attempts.count, base=rules.base_seconds, cap=rules.cap_seconds, random=self._random
        )
        return await self._show_again(lease, max(backoff, retry.after or 0), "retry")

    async def _show_again(self, lease: Lease, seconds: float, why: str) -> bool:
        if await self._desk.acks.show_again(lease, seconds):
            metrics.messages_released.labels(why).inc()
            log.debug("message_released", why=why, seconds=round(seconds))
        return False


def _note(span: MessageSpan, outcome: Outcome | Release) -> None:
    failure = outcome.failure if isinstance(outcome, Park | Retry) else None
    span.mark(type(outcome).__name__.lower(), failure.error_class if failure else None)


def _given_up(failure: Failure) -> Failure:
    return Failure(
        reason=f"retry horizon passed; last: {failure.reason}",
        error_class=failure.error_class,
        fingerprint=failure.fingerprint,
        handler=failure.handler,
    )
