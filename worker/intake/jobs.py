"""Runs the handlers of one message, each to its own outcome."""

import asyncio
import time
from functools import cache, partial

import structlog
from prometheus_client import Counter, Histogram

from worker.domain.result import Result
from worker.intake.ledger import Ledger
from worker.intake.outcome import Done, Outcome, Park, Retry, foreseen, outcome_of, worst
from worker.intake.router import Job
from worker.telemetry import metrics
from worker.telemetry.context import log_fields

log = structlog.get_logger(__name__)


class Jobs:
    """Handlers of one event run side by side; what is done already is not done again."""

    def __init__(self, ledger: Ledger, *, deadline_seconds: float) -> None:
        self._ledger = ledger
        self._deadline_seconds = deadline_seconds
        # Bound once: a line that is filtered then costs a call, not a logger.
        self._log = log.bind()

    async def run(self, jobs: list[Job]) -> Outcome:
        """Run all and return the worst outcome."""
        if len(jobs) == 1:  # the common case, without a task of its own
            return await self._run(jobs[0])
        return worst(await asyncio.gather(*(self._run(job) for job in jobs)))

    async def _run(self, job: Job) -> Outcome:
        began = time.perf_counter()
        handler = job.route.handler
        with log_fields(
            handler=handler, conversation_id=getattr(job.event, "conversation_id", None)
        ):
            try:
                result = await self._ledger.once(
                    handler, job.event.origin.dedupe_key, partial(self._within_deadline, job)
                )
            except Exception as error:  # noqa: BLE001  every fault becomes an outcome
                outcome = outcome_of(error, handler=handler)
                _tell_failure(job, outcome, error)
                return outcome
            finally:
                elapsed = time.perf_counter() - began
                _duration(handler).observe(elapsed)
            self._tell_success(job, result, elapsed)
        return Done()

    async def _within_deadline(self, job: Job) -> Result:
        async with asyncio.timeout(job.route.deadline_seconds or self._deadline_seconds):
            return await job.route.run(job.event)

    def _tell_success(self, job: Job, result: Result, elapsed: float) -> None:
        handler = job.route.handler
        _processed(handler, result.value).inc()
        age = time.time() - job.event.origin.occurred_at.timestamp()
        _age(handler).observe(max(0.0, age))
        self._log.info("event_handled", result=result.value, milliseconds=round(elapsed * 1000, 1))


def _tell_failure(job: Job, outcome: Retry | Park, error: Exception) -> None:
    label = "permanent" if isinstance(outcome, Park) else "retry"
    _processed(job.route.handler, label).inc()
    log.log(
        30 if foreseen(error) else 40,
        "event_failed",
        reason=outcome.failure.reason,
        error_class=outcome.failure.error_class,
        fingerprint=outcome.failure.fingerprint,
        exc_info=None if foreseen(error) else error,
    )


# Children by name, found once: `labels` looks at every value and takes a lock each time.
@cache
def _processed(handler: str, outcome: str) -> Counter:
    return metrics.messages_processed.labels(handler, outcome)


@cache
def _duration(handler: str) -> Histogram:
    return metrics.message_duration.labels(handler)


@cache
def _age(handler: str) -> Histogram:
    return metrics.event_age.labels(handler)
