"""From a message to its outcome: open, route, run. Knows no SQS."""

import asyncio
import math
import time
from collections.abc import Awaitable, Mapping, Sequence
from logging import INFO

import structlog

from worker.clients.aws import CrashMarks
from worker.errors import Misconfigured
from worker.events import ForJob, Origin, Result
from worker.intake.idempotency import Idempotency
from worker.intake.job_state import JobState
from worker.intake.leases import Lease
from worker.intake.outcome import (
    DONE,
    Blocked,
    DeadLetter,
    Done,
    Outcome,
    Released,
    Retry,
    failure_of,
    foreseen,
    outcome_of,
    worst,
)
from worker.intake.quarantine import Quarantine
from worker.intake.router import About, Opened, Opener, Reading, Route, Routes
from worker.resilience import Work, begin
from worker.telemetry import MessageSpan, current_tracing, log_fields, metrics

log = structlog.get_logger(__name__)

LONGEST_WAIT_SECONDS = 43_000.0
"""For the request budget, from the receive; SQS hides a message for at most twelve hours."""

SPAN_OUTCOMES = {
    Done: "done",
    Retry: "retry",
    Blocked: "blocked",
    DeadLetter: "dead_letter",
    Released: "released",
}


class Delivery:
    """Works on messages of all queues."""

    def __init__(
        self,
        routes: Routes,
        reading: Reading,
        jobs: Mapping[str, JobState],
        idempotency: Idempotency,
        marks: CrashMarks | None,
        *,
        deadline_seconds: float,
    ) -> None:
        self.jobs = jobs
        self.running: dict[Work, Lease] = {}
        """What is worked on now."""

        self.quarantine = Quarantine(marks, self.running.__len__)
        self._routes = routes
        self._opener = Opener(routes, reading)
        self._idempotency = idempotency
        self._deadline_seconds = deadline_seconds
        self._loop = asyncio.get_running_loop()
        self._tracing = current_tracing()
        # Asked once: a line that is filtered, with its fields, costs more than all that is counted.
        self._log = log.bind()
        self._logs_each = self._log.is_enabled_for(INFO)

    def open_ahead(self, leases: Sequence[Lease]) -> None:
        """Open messages of one receive before their work begins, as far as that is safe."""
        if self._tracing.on or self.quarantine.exclusive:
            return
        new = [lease for lease in leases if lease.message.receive_count <= 1]
        if new:
            bodies = [lease.message.body for lease in new]
            for lease, opened in zip(new, self._opener.ahead(bodies, new[0].source), strict=True):
                lease.ahead = opened

    def run(self, lease: Lease) -> Awaitable[Outcome]:
        """Open, route and run; raises CancelledError when the lease was cancelled."""
        opened = lease.ahead
        if opened is None or self.quarantine.exclusive:
            return self._guarded(lease)
        return self._opened(lease, opened)

    async def _guarded(self, lease: Lease) -> Outcome:
        if self.quarantine.exclusive:
            await self.quarantine.until_shared()
        lease.phase, lease.began_at = "working", self._loop.time()
        if not self._tracing.on:
            return await self._suspected(lease)
        with self._tracing.process(lease.message.id, lease.message.cause) as span:
            outcome = await self._suspected(lease)
            _mark(span, outcome)
            return outcome

    def _suspected(self, lease: Lease) -> Awaitable[Outcome]:
        if lease.message.receive_count > 1:
            return self.quarantine.deliver(lease, self._deliver)
        return self._deliver(lease)

    def cancel_overdue(self) -> None:
        """Cancel the runs that passed their deadline; those that wait for budget or token do not.

        Called by a ticker: a timer for each message would cost more than all its bookkeeping.
        """
        now = self._loop.time()
        for work in [one for one in self.running if now >= one.ends_by and not one.waiting_for]:
            if work.task is not None and not work.overdue:
                work.overdue = True
                work.task.cancel()

    def _deliver(self, lease: Lease) -> Awaitable[Outcome]:
        opened = lease.ahead or self._opener(lease.message.body, lease.source)
        return self._opened(lease, opened) if isinstance(opened, Opened) else _known(opened)

    def _opened(self, lease: Lease, opened: Opened) -> Awaitable[Outcome]:
        wanted = opened.wanted
        # Not kept beyond the run: with bodies of a megabyte it would be three times as much.
        lease.about, lease.ahead = opened.about, None
        if self._tracing.on and wanted:
            self._describe(opened.about)
        if len(wanted) == 1 and opened.lacking is None:
            return self._run(lease, wanted[0], lease.task)  # as a rule, without a task of its own
        if wanted:
            return self._several(lease, opened)
        return _known(self._opener.unwanted(opened, lease.source))

    def _describe(self, about: About) -> None:
        origin = about.origin
        self._tracing.describe(origin.detail_type, origin.correlation_id, about.jobs)

    async def _several(self, lease: Lease, opened: Opened) -> Outcome:
        outcomes = await asyncio.gather(*(self._beside(lease, one) for one in opened.wanted))
        return worst(outcomes if opened.lacking is None else (*outcomes, opened.lacking))

    async def _beside(self, lease: Lease, one: ForJob) -> Outcome:
        with log_fields(job=one.job):
            return await self._run(lease, one, asyncio.current_task())

    async def _run(self, lease: Lease, one: ForJob, task: asyncio.Task[None] | None) -> Outcome:
        job, route, origin = self.jobs[one.job], self._routes[one.job], one.event.origin
        if (job.state != "open" or job.missed == "half_open") and not self._may_run(job, lease):
            return Blocked(failure_of(job.reason, error_class="Blocked", cause="blocked"))
        age = time.time() - origin.occurred_at.timestamp()
        work = self._begun(job, lease, route, age, task)
        try:
            result = await self._idempotency.once(
                job.name,
                origin.identity if route.proof == "sink" else origin.dedupe_key,
                route.run,
                route.proof,
                one.event.conversation_id,
                (one.event,),
            )
        except asyncio.CancelledError:
            if not work.overdue or lease.why_cancelled or task is None:
                raise
            task.uncancel()
            return self._overdue(job.name)
        except Exception as error:  # noqa: BLE001  every fault becomes an outcome
            lease.degrades_at = self._degrades_at(route, origin)
            return self._failed(job, work, error)
        else:
            self._count(job, work, result, age)
            return DONE
        finally:
            del self.running[work]
            work.task = None  # whose context holds the work: a cycle for each message otherwise
            if job.probing is lease:
                job.probing = None
            if self.quarantine.exclusive:
                self.quarantine.ended()

    def _begun(
        self,
        job: JobState,
        lease: Lease,
        route: Route,
        age: float,
        task: asyncio.Task[None] | None,
    ) -> Work:
        message, now = lease.message, self._loop.time()
        lease.phase, lease.began_at = "working", now
        waits_until = message.received_at + LONGEST_WAIT_SECONDS
        if route.age_limit_seconds is not None:
            waits_until = min(waits_until, now + route.age_limit_seconds - age)
        work = Work(
            message.id,
            route.job,
            now,
            now + (route.deadline_seconds or self._deadline_seconds),
            waits_until,
            lease.probe or job.probing is lease,
            lease.failed_probes > 0,
            "",
            lease.is_held,
            task,
        )
        begin(work)
        self.running[work] = lease
        return work

    def _degrades_at(self, route: Route, origin: Origin) -> float:
        if route.degrade_after_seconds is None:
            return math.inf
        age = time.time() - origin.occurred_at.timestamp()
        return self._loop.time() + route.degrade_after_seconds - age

    def _may_run(self, job: JobState, lease: Lease) -> bool:
        """Return whether the message may run while its job is blocked, and whether it probes."""
        if lease.probe:
            return job.state != "closed"
        if job.state == "open":  # what it may miss asks for a probe: any message will do
            job.probing = job.probing or lease
            return True
        if job.state == "closed" or len(lease.source.jobs) == 1 or job.probing is not None:
            return False
        job.probing = lease
        return True

    def _failed(self, job: JobState, work: Work, error: Exception) -> Outcome:
        outcome = outcome_of(error, job=job.name)
        if isinstance(error, Misconfigured):
            job.misconfigured(error, work.message_id)
        elif isinstance(outcome, Retry) and outcome.outage and job.is_down():
            # Any other message would meet the same: not a failure of its own.
            outcome = (
                Retry(outcome.failure, outcome.after, own=False, outage=True)
                if work.probe
                else Blocked(outcome.failure, outcome.after)
            )
        metrics.messages_processed.labels(job.name, _label(outcome)).inc()
        failure = outcome.failure
        job.last_failure = failure.reason, failure.fingerprint, time.time()
        log.log(
            30 if foreseen(error) else 40,
            "event_failed",
            reason=outcome.failure.reason,
            error_class=outcome.failure.error_class,
            fingerprint=outcome.failure.fingerprint,
            exc_info=None if foreseen(error) else error,
        )
        return outcome

    def _overdue(self, job: str) -> Outcome:
        metrics.messages_processed.labels(job, "retry").inc()
        reason = f"{job} passed its deadline"
        log.warning("event_failed", reason=reason, error_class="DeadlinePassed")
        return Retry(failure_of(reason, error_class="DeadlinePassed", cause=reason, job=job))

    def _count(self, job: JobState, work: Work, result: Result, age: float) -> None:
        now = self._loop.time()
        job.done += 1
        job.done_at = now
        if job.problem is not None:
            job.recovered()
        seconds = now - work.began_at
        try:
            job.results[result].value += 1
        except KeyError:  # a label is plain text: a new series takes the value of a `Result`
            job.results[result] = metrics.messages_processed.labels(job.name, str(result))
            job.results[result].value += 1
        job.durations.pending.append(seconds)
        age += seconds
        job.ages.pending.append(age if age > 0 else 0.0)
        if self._logs_each:
            self._log.info(
                "event_handled", result=str(result), milliseconds=round(seconds * 1000, 1)
            )


async def _known(outcome: Outcome) -> Outcome:
    return outcome


def _mark(span: MessageSpan, outcome: Outcome) -> None:
    failed = outcome if isinstance(outcome, Retry | Blocked | DeadLetter) else None
    span.mark(SPAN_OUTCOMES[type(outcome)], failed.failure.error_class if failed else None)


def _label(outcome: Outcome) -> str:
    if isinstance(outcome, DeadLetter):
        return "permanent"
    return "blocked" if isinstance(outcome, Blocked) else "retry"
