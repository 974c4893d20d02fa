"""What is known of the running worker: readiness, /status, and the depth of its queues."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from worker.app.intake import Intake
from worker.app.queues import OpenQueue
from worker.app.upstreams import Upstreams
from worker.clients.aws.errors import QueueError
from worker.clients.aws.sqs import MAX_IN_FLIGHT
from worker.clients.genesys.parts import GenesysClients
from worker.errors import WorkerError
from worker.intake.consumer import Consumer
from worker.intake.job_state import JobState
from worker.intake.leases import Lease
from worker.ops.health import Check
from worker.ops.status import (
    Cause,
    InFlight,
    JobStatus,
    QueueStatus,
    Snapshot,
    UpstreamStatus,
)
from worker.settings import Settings
from worker.settings.bindings import name_of
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 30
POLL_MARGIN_SECONDS = 60
"""Silence of the receives, beyond the length of a poll, that makes the worker not ready."""

FAILING_SECONDS = 5.0
"""Time for which acks or heartbeats must fail before the worker is not ready: once is no news."""

LONG_PAUSE_SECONDS = 300.0
"""An asked pause beyond it makes the worker not ready."""

LEVELS = {"open": 0, "half_open": 1, "closed": 2}

SHOWN = 10
"""Messages in flight, blocked groups and causes shown, of each."""


ProblemOf = Callable[[Consumer], str | None]


class Sampler:
    """Reads the parts; nothing here acts on them, but for the gate of a queue that is too full."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._started_at = self._clock()
        self._built: tuple[Intake, Upstreams, GenesysClients | None] | None = None
        self._depths: dict[str, Mapping[str, int]] = {}
        self._dead_letters: dict[str, int] = {}
        self._warnings: tuple[str, ...] = ()

    def attach(self, intake: Intake, upstreams: Upstreams, genesys: GenesysClients | None) -> None:
        """Take the parts, once they are built."""
        self._built = (intake, upstreams, genesys)
        for consumer in intake.consumers:
            metrics.paused.labels(consumer.name).set(consumer.gate.state != "open")
        for name, job in intake.delivery.jobs.items():
            metrics.job_state.labels(name).set_function(partial(_level, job))
        for keeper in upstreams.pause_keepers():
            seconds_left = partial(_seconds_left, upstreams, keeper)
            metrics.asked_pause.labels(keeper).set_function(seconds_left)

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Show what was found at the start."""
        self._warnings = warnings

    def checks(self) -> dict[str, Check]:
        """Return what readiness depends on, by name."""
        return {
            "start": lambda: None if self._built else self._waits_for(),
            "queue": lambda: _joined(self._per_queue(self._queue_problem)),
            "genesys": self._token_problem,
            "acks": lambda: _joined(self._per_queue(self._ack_problem)),
            "jobs": lambda: _joined(self._job_problems()),
            "dead letters": lambda: _joined(self._dead_letter_problems()),
            "pause": lambda: _joined(self._long_pauses()),
        }

    def snapshot(self) -> Snapshot:
        """Return what /status is made of; called from the server's thread, so it only reads."""
        uptime = self._clock() - self._started_at
        if self._built is None:
            return Snapshot(starting=self._waits_for(), uptime_seconds=uptime)
        intake, upstreams, genesys = self._built
        success = metrics.last_success._value.get()  # noqa: SLF001  a gauge has no public getter
        return Snapshot(
            draining=any(one.draining for one in intake.consumers),
            quarantine=intake.delivery.quarantine.exclusive,
            uptime_seconds=uptime,
            concurrency=intake.permits.count,
            permits_used=intake.permits.count - intake.permits.free,
            in_flight=sum(one.in_flight for one in intake.consumers),
            queues=tuple(self._queue(one) for one in intake.consumers),
            jobs=tuple(self._jobs(intake)),
            upstreams=tuple(_upstreams(upstreams)),
            dead_letter_causes=tuple(_causes(intake)),
            budget_exhausted_seconds=genesys.limiter.exhausted_for() if genesys else 0.0,
            last_success_seconds_ago=time.time() - success if success else None,
            warnings=self._warnings,
        )

    async def run(self) -> None:
        """Sample the queues and the token, for ever; a failure costs a sample."""
        while True:
            if self._built is not None:
                intake = self._built[0]
                samples = map(self._sample, intake.queues, intake.consumers)
                await asyncio.gather(self._ask_for_a_token(), *samples)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _ask_for_a_token(self) -> None:
        """Find out about refused credentials, or their end, while no message asks."""
        genesys = self._built[2] if self._built else None
        if genesys is not None:
            with suppress(WorkerError):  # reported by the client itself, and by readiness
                await genesys.tokens.get()

    def _waits_for(self) -> str:
        names = ", ".join(binding.name for binding in self._settings.queues())
        return f"waiting for SQS to answer for {names}"

    async def _sample(self, one: OpenQueue, consumer: Consumer) -> None:
        name = one.binding.name
        try:
            now = await one.queue.attributes()
            if url := self._settings.dead_letter_queue_for(one.binding.url):
                self._dead_letters[name] = (await one.queue.attributes(url)).visible
                metrics.dlq_messages.labels(name_of(url)).set(self._dead_letters[name])
        except QueueError as error:
            log.debug("queue_sample_failed", queue=name, code=error.code)
            return
        self._depths[name] = {
            "visible": now.visible,
            "in_flight": now.in_flight,
            "delayed": now.delayed,
        }
        for state, count in self._depths[name].items():
            metrics.queue_messages.labels(name, state).set(count)
        consumer.gate.overfull = now.in_flight >= MAX_IN_FLIGHT
        if self._settings.sqs.visibility_seconds is None and now.visibility_seconds:
            # The queue's own may be changed while we run; what is in flight keeps its old lease.
            consumer.leases.visibility_seconds = now.visibility_seconds

    def _queue(self, consumer: Consumer) -> QueueStatus:
        depth = self._depths.get(consumer.name)
        here = len(consumer.leases)
        poller = consumer.poller
        groups = consumer.groups.blocked if consumer.groups else {}
        return QueueStatus(
            name=consumer.name,
            jobs=tuple(consumer.gate.jobs),
            upstreams=tuple(sorted(_asked_by(consumer))),
            gate=consumer.gate.state,
            gate_reason=consumer.gate.reason,
            in_flight=here,
            oldest=tuple(self._oldest(consumer)),
            visible=depth["visible"] if depth else None,
            # Leases, not runs: what only waits for its delete is in flight, too.
            invisible=max(0, depth["in_flight"] + depth["delayed"] - here) if depth else None,
            pollers=consumer.pollers,
            receive_error=poller.problem,
            failing=dict(consumer.failing()),
            last_receive_seconds_ago=self._ago(poller.answered_at),
            last_message_seconds_ago=self._ago(poller.message_at),
            blocked_groups=dict(list(groups.items())[:SHOWN]),
            dead_letters=self._dead_letters.get(consumer.name),
        )

    def _oldest(self, consumer: Consumer) -> Iterator[InFlight]:
        waits = {held: work.waiting_for for work, held in list(consumer.delivery.running.items())}
        now = self._clock()
        for lease in sorted(consumer.leases, key=lambda one: one.began_at)[:SHOWN]:
            yield InFlight(
                message_id=lease.message.id,
                jobs=lease.jobs,
                stage=_stage(lease, waits.get(lease, "")),
                seconds=now - lease.began_at,
            )

    def _jobs(self, intake: Intake) -> Iterator[JobStatus]:
        now = time.time()
        for name, job in intake.delivery.jobs.items():
            failure = intake.delivery.last_failures.get(name)
            yield JobStatus(
                name=name,
                state=job.state,
                reason=job.reason,
                outcomes=_outcomes(name),
                last_failure=failure.shown(now) if failure else None,
            )
        half = self._settings.half_configured()
        for name, missing in self._settings.disabled_jobs().items():
            reason = half.get(name) or f"not set: {', '.join(missing)}"
            yield JobStatus(name=name, state="off", reason=reason)

    def _per_queue(self, problem_of: ProblemOf) -> Iterator[str]:
        if self._built is not None:
            for consumer in self._built[0].consumers:
                if problem := problem_of(consumer):
                    yield f"{consumer.name}: {problem}"

    def _queue_problem(self, consumer: Consumer) -> str | None:
        poller = consumer.poller
        if poller.problem:
            return f"ReceiveMessage fails: {poller.problem}"
        silence = self._clock() - (poller.answered_at or self._started_at)
        # One that is full does not poll, nor does one whose gate is closed: neither is dead.
        full = consumer.in_flight > 0
        if (
            not full
            and consumer.gate.state == "open"
            and silence > self._settings.sqs.wait_seconds + POLL_MARGIN_SECONDS
        ):
            return f"no receive has ended for {silence:.0f} s"
        return None

    def _token_problem(self) -> str | None:
        genesys = self._built[2] if self._built else None
        return genesys.tokens.problem if genesys else None

    def _ack_problem(self, consumer: Consumer) -> str | None:
        failing = consumer.failing(for_seconds=FAILING_SECONDS)
        return _joined(f"{action} fails: {code}" for action, code in failing)

    def _job_problems(self) -> Iterator[str]:
        if self._built is None:
            return
        for name, job in self._built[0].delivery.jobs.items():
            if problem := job.known_problem():
                yield f"{name}: {problem.reason} ({problem.setting}): {problem.remedy}"

    def _dead_letter_problems(self) -> Iterator[str]:
        if self._built is None:
            return
        for reason, job, held in self._built[0].limit.reached():
            yield f"limit reached for {job or 'unreadable messages'}: {reason}; {held} held back"
        for consumer in self._built[0].consumers:
            if problem := consumer.settlement.dead_letters.problem:
                yield f"{consumer.name}: cannot be sent: {problem}"

    def _long_pauses(self) -> Iterator[str]:
        if self._built is not None:
            for name, (left, asked) in self._built[1].asked_pauses().items():
                if left > LONG_PAUSE_SECONDS:
                    yield f"{name} asked for {asked:.0f} s, {left:.0f} s of it left"

    def _ago(self, moment: float | None) -> float | None:
        return None if moment is None else self._clock() - moment


def _joined(problems: Iterator[str]) -> str | None:
    return "; ".join(problems) or None


def _asked_by(consumer: Consumer) -> set[str]:
    jobs = consumer.gate.jobs.values()
    return {name for job in jobs for name in (*job.needs, *job.may_miss)}


def _level(job: JobState) -> int:
    """Return the state of a job as its metric reports it; called by the scrape's thread."""
    return 3 if job.known_problem() else LEVELS[job.state]


def _seconds_left(upstreams: Upstreams, keeper: str) -> float:
    return upstreams.asked_pauses().get(keeper, (0.0, 0.0))[0]


def _stage(lease: Lease, waiting_for: str) -> str:
    return f"{lease.stage}, waits for {waiting_for}" if waiting_for else lease.stage


def _outcomes(job: str) -> dict[str, int]:
    return {
        outcome: int(count.value)
        for (name, outcome), count in metrics.messages_processed.series()
        if name == job
    }


def _upstreams(upstreams: Upstreams) -> Iterator[UpstreamStatus]:
    pauses: Mapping[str, Any] = upstreams.asked_pauses()
    for name in sorted(upstreams.names()):
        left, asked = pauses.get(name, (0.0, 0.0))
        state = upstreams.state(name)
        if state != "closed" or left:
            yield UpstreamStatus(
                name=name,
                breaker=state,
                reason=upstreams.reason(name),
                pause_seconds=left,
                asked_seconds=asked,
            )


def _causes(intake: Intake) -> Iterator[Cause]:
    held = {(reason, job): count for reason, job, count in intake.limit.reached()}
    for reason, job, dead_letters in intake.limit.dead_letters()[:SHOWN]:
        yield Cause(
            reason=reason, job=job, dead_letters=dead_letters, held_back=held.get((reason, job), 0)
        )
