"""Runs the handlers of one message, each to its own outcome."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial

import structlog
from structlog.contextvars import bound_contextvars

from worker.domain.result import Result
from worker.intake.ledger import Ledger
from worker.intake.outcome import Done, Outcome, Park, Retry, foreseen, outcome_of, worst
from worker.intake.router import Job
from worker.telemetry import metrics

log = structlog.get_logger(__name__)


class Jobs:
    """Handlers of one event run side by side; what is done already is not done again."""

    def __init__(self, ledger: Ledger, *, deadline_seconds: float) -> None:
        self._ledger = ledger
        self._deadline_seconds = deadline_seconds

    async def run(self, jobs: list[Job]) -> Outcome:
        """Run all and return the worst outcome."""
        if len(jobs) == 1:  # the common case, without a task of its own
            return await self._run(jobs[0])
        return worst(await asyncio.gather(*(self._run(job) for job in jobs)))

    async def _run(self, job: Job) -> Outcome:
        began = time.perf_counter()
        with bound_contextvars(
            handler=job.route.handler, conversation_id=getattr(job.event, "conversation_id", None)
        ):
            try:
                result = await self._once(job)
            except Exception as error:  # noqa: BLE001  every fault becomes an outcome
                outcome = outcome_of(error, handler=job.route.handler)
                _tell_failure(job, outcome, error)
                return outcome
            finally:
                elapsed = time.perf_counter() - began
                metrics.message_duration.labels(job.route.handler).observe(elapsed)
            _tell_success(job, result, elapsed)
        return Done()

    async def _once(self, job: Job) -> Result:
        run = partial(self._within_deadline, job)
        return await self._ledger.once(job.route.handler, job.event.origin.dedupe_key, run)

    async def _within_deadline(self, job: Job) -> Result:
        async with asyncio.timeout(job.route.deadline_seconds or self._deadline_seconds):
            return await job.route.run(job.event)


def _tell_success(job: Job, result: Result, elapsed: float) -> None:
    metrics.messages_processed.labels(job.route.handler, result.value).inc()
    age = (datetime.now(UTC) - job.event.origin.occurred_at).total_seconds()
    metrics.event_age.labels(job.route.handler).observe(max(0.0, age))
    log.info("event_handled", result=result.value, milliseconds=round(elapsed * 1000, 1))


def _tell_failure(job: Job, outcome: Retry | Park, error: Exception) -> None:
    label = "permanent" if isinstance(outcome, Park) else "retry"
    metrics.messages_processed.labels(job.route.handler, label).inc()
    log.log(
        30 if foreseen(error) else 40,
        "event_failed",
        reason=outcome.failure.reason,
        error_class=outcome.failure.error_class,
        fingerprint=outcome.failure.fingerprint,
        exc_info=None if foreseen(error) else error,
    )
