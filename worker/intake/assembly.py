"""The intake as a whole: built here, driven by the daemon, shown by /status.

And each queue as operators see it: how many messages it holds, how it moves, and what is wrong.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import structlog
from msgspec import Struct

from worker.clients.aws import MAX_IN_FLIGHT, QueueError
from worker.intake.consumer import Consumer
from worker.intake.delivery import Delivery
from worker.intake.job_state import Jobs
from worker.intake.outcome import Attempts
from worker.intake.poller import Permits
from worker.intake.queue import OpenQueue, Shared, consumer_of
from worker.intake.settlement import Memory
from worker.settings import Settings, queue_name
from worker.telemetry import InFlight, QueueStatus, Snapshot, metrics

log = structlog.get_logger(__name__)

POLL_MARGIN_SECONDS = 60
"""Silence of the receives, beyond the length of a poll, that makes the worker not ready."""

FAILING_SECONDS = 5.0
"""Time for which acks or heartbeats must fail before the worker is not ready: once is no news."""

SHOWN = 10
"""Messages in flight and blocked groups shown, of each."""


class QueueStatusReader:
    """Reads the parts; nothing here acts on them, but for the gate of a queue that is too full."""

    def __init__(self, opened: OpenQueue, consumer: Consumer, settings: Settings) -> None:
        self.opened = opened
        self.consumer = consumer
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._depth: Mapping[str, int] = {}
        """As last sampled; empty: no sample yet."""

        self._dead_letters: int | None = None

    async def sample(self) -> None:
        """Ask SQS how many messages there are; a failure costs a sample."""
        queue, name = self.opened.queue, self.consumer.name
        try:
            now = await queue.attributes()
            if url := self._settings.dead_letter_queue_for(self.opened.binding.url):
                self._dead_letters = (await queue.attributes(url)).visible
                metrics.dlq_messages.labels(queue_name(url)).set(self._dead_letters)
        except QueueError as error:
            log.debug("queue_sample_failed", queue=name, code=error.code)
            return
        self._depth = {
            "visible": now.visible,
            "in_flight": now.in_flight,
            "delayed": now.delayed,
        }
        for state, count in self._depth.items():
            metrics.queue_messages.labels(name, state).set(count)
        self.consumer.gate.overfull = now.in_flight >= MAX_IN_FLIGHT
        if self._settings.sqs.visibility_seconds is None and now.visibility_seconds:
            # The queue's own may be changed while we run; what is in flight keeps its old lease.
            self.consumer.leases.visibility_seconds = now.visibility_seconds

    def status(self) -> QueueStatus:
        """Return what /status shows; called from the server's thread, so it only reads."""
        consumer, depth = self.consumer, self._depth
        here, poller = len(consumer.leases), consumer.poller
        groups = consumer.groups.blocked if consumer.groups else {}
        return QueueStatus(
            name=consumer.name,
            jobs=tuple(consumer.gate.jobs),
            upstreams=tuple(sorted(self._upstreams())),
            gate=consumer.gate.state,
            gate_reason=consumer.gate.reason,
            in_flight=here,
            oldest=tuple(self._oldest()),
            visible=depth["visible"] if depth else None,
            # Leases, not runs: what only waits for its delete is in flight, too.
            invisible=max(0, depth["in_flight"] + depth["delayed"] - here) if depth else None,
            pollers=consumer.pollers,
            receive_error=poller.problem,
            failing=dict(consumer.failing()),
            last_receive_seconds_ago=self._ago(poller.answered_at),
            last_message_seconds_ago=self._ago(poller.message_at),
            blocked_groups=dict(list(groups.items())[:SHOWN]),
            dead_letters=self._dead_letters,
            dead_letter_error=consumer.settlement.dead_letters.problem,
        )

    def receive_problem(self, started_at: float) -> str | None:
        """Return what is wrong with the receives of a worker that started then, by the loop."""
        poller = self.consumer.poller
        if poller.problem:
            return f"ReceiveMessage fails: {poller.problem}"
        silence = self._clock() - (poller.answered_at or started_at)
        # One that is full does not poll, nor does one whose gate is closed: neither is dead.
        full = self.consumer.in_flight > 0
        if (
            not full
            and self.consumer.gate.state == "open"
            and silence > self._settings.sqs.wait_seconds + POLL_MARGIN_SECONDS
        ):
            return f"no receive has ended for {silence:.0f} s"
        return None

    def ack_problem(self) -> str | None:
        """Return what SQS has refused for a while, beside receives."""
        failing = self.consumer.failing(for_seconds=FAILING_SECONDS)
        return "; ".join(f"{action} fails: {code}" for action, code in failing) or None

    def dead_letter_problem(self) -> str | None:
        """Return why the last dead letter was not taken."""
        problem = self.consumer.settlement.dead_letters.problem
        return f"cannot be sent: {problem}" if problem else None

    def _upstreams(self) -> set[str]:
        jobs = self.consumer.gate.jobs.values()
        return {name for job in jobs for name in (*job.needs, *job.may_miss)}

    def _oldest(self) -> Iterator[InFlight]:
        running = list(self.consumer.delivery.running.items())
        waits = {lease: work.waiting_for for work, lease in running}
        now = self._clock()
        for lease in sorted(self.consumer.leases, key=lambda one: one.began_at)[:SHOWN]:
            waits_for = waits.get(lease, "")
            yield InFlight(
                message_id=lease.message.id,
                jobs=lease.jobs,
                phase=f"{lease.phase}, waits for {waits_for}" if waits_for else lease.phase,
                seconds=now - lease.began_at,
            )

    def _ago(self, moment: float | None) -> float | None:
        return None if moment is None else self._clock() - moment


class Intake(Struct, frozen=True):
    """The parts of the intake that the daemon drives and that /status shows."""

    queues: Sequence[QueueStatusReader]
    consumers: Sequence[Consumer]
    permits: Permits
    delivery: Delivery
    jobs: Jobs

    def snapshot(self) -> Snapshot:
        """Return the intake's part of /status; called from the server's thread: it only reads."""
        success = metrics.last_success._value.get()  # noqa: SLF001  a gauge has no public getter
        return Snapshot(
            draining=any(one.draining for one in self.consumers),
            quarantine=self.delivery.quarantine.exclusive,
            concurrency=self.permits.count,
            permits_used=self.permits.count - self.permits.free,
            in_flight=sum(one.in_flight for one in self.consumers),
            queues=tuple(one.status() for one in self.queues),
            jobs=tuple(self.jobs.statuses()),
            dead_letter_causes=tuple(self.jobs.causes()),
            last_success_seconds_ago=time.time() - success if success else None,
        )

    def busy(self) -> int:
        """Return the messages in flight that do not wait for the request budget."""
        works = self.delivery.running.items()
        return len({lease for work, lease in works if work.waiting_for != "budget"})

    def acked(self) -> float:
        """Return the messages done since the start."""
        return metrics.messages_acked.labels().value

    def dead_letter_problems(self) -> Iterator[str]:
        """Yield why dead letters are not written, a sentence each."""
        yield from self.jobs.limits_reached()
        for one in self.queues:
            if problem := one.dead_letter_problem():
                yield f"{one.consumer.name}: {problem}"


def assemble(
    queues: Sequence[OpenQueue],
    jobs: Jobs,
    delivery: Delivery,
    settings: Settings,
    random: Random,
) -> Intake:
    """Join queues that are open to the delivery, with a consumer each."""
    permits = Permits(settings.sqs.concurrency, [one.binding.name for one in queues])
    shared = Shared(delivery, permits, Memory(Attempts(), jobs.limit, jobs.idle_seconds))
    consumers = [consumer_of(one, shared, settings, random) for one in queues]
    readers = [
        QueueStatusReader(opened, consumer, settings)
        for opened, consumer in zip(queues, consumers, strict=True)
    ]
    metrics.concurrency_limit.set(permits.count)
    metrics.inflight.set_function(lambda: len(delivery.running))
    metrics.pollers.set_function(lambda: sum(one.pollers for one in consumers))
    return Intake(readers, consumers, permits, delivery, jobs)
