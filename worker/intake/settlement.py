"""From an outcome to SQS: delete, retry later, dead-letter. Knows no job."""

import time
from collections.abc import Callable
from random import Random

import structlog
from msgspec import Struct

from worker.intake.acks import Acks
from worker.intake.dead_letter_limit import DeadLetterLimit
from worker.intake.dead_letters import DeadLetters
from worker.intake.leases import Lease
from worker.intake.outcome import (
    Attempt,
    Attempts,
    Blocked,
    DeadLetter,
    Deferred,
    Done,
    Failure,
    Outcome,
    Retry,
    backoff_seconds,
    given_up,
)
from worker.settings import Retry as RetrySettings
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

OWN_FAILURES = 8
"""A message is given up by its age only after it failed so often by itself: outages end nothing."""

LAST_HORIZON = 2
"""Times the horizon: the age at which it is given up even if its job has done nothing meanwhile."""

NOT_DEAD_LETTERED_SECONDS = 60.0
"""When a message that could not be dead-lettered is tried again."""

BLOCKED_SECONDS = (60.0, 900.0)
"""Shortest and longest time that a message of a blocked job is deferred: for as long again as it
has waited, which makes some thirty receives in six hours."""

SPREAD = (0.8, 1.0)
"""Shares of that time, so that not all become visible at once."""


class Memory(Struct, frozen=True):
    """What is remembered of messages that failed, and of their causes; for all queues."""

    attempts: Attempts
    limit: DeadLetterLimit
    idle_seconds: Callable[[str | None], float]
    """Since a job last did a message; since any did for None."""


class Settlement:
    """Settles the messages of one queue."""

    def __init__(
        self,
        acks: Acks,
        dead_letters: DeadLetters,
        memory: Memory,
        backoff: RetrySettings,
        random: Random,
    ) -> None:
        self.acks = acks
        self.dead_letters = dead_letters
        self._attempts = memory.attempts
        self._limit = memory.limit
        self._idle_seconds = memory.idle_seconds
        self._backoff = backoff
        self._random = random

    async def __call__(self, lease: Lease, outcome: Outcome) -> None:
        """Settle with SQS; after a lost lease nothing may be sent."""
        lease.settle()
        if lease.why_cancelled is not None and lease.lost:
            metrics.messages_released.labels("lease_lost").inc()
            self.acks.lost(lease)
        elif isinstance(outcome, Done):
            self.done(lease)
        elif isinstance(outcome, Retry):
            await self._retry(lease, outcome)
        elif isinstance(outcome, Blocked):
            self._defer_blocked(lease, outcome.after)
        elif isinstance(outcome, Deferred):
            self.release(lease, outcome.seconds, "dead_letter_limit")
        elif isinstance(outcome, DeadLetter):
            await self._dead_letter(lease, outcome.failure, self._failed(lease, own=True))
        else:
            self.release(lease, 0, "drain")

    def done(self, lease: Lease) -> None:
        """Settle a message that is done, and still ours."""
        lease.settle()
        message = lease.message
        if message.receive_count > 1:  # only then it may have failed before
            self._attempts.forget(message.id)
            self._limit.succeeded(message.id)
        self.acks.delete(lease)

    def defers_again(self, lease: Lease) -> Deferred | None:
        """Return for how long to defer a message that came back unrun; None when it is to run.

        The probe of a closed gate runs: there are no more of them than the gate lets pass.
        """
        if lease.probe:
            return None
        seconds = self._limit.defer_again(lease.message.id)
        return None if seconds is None else Deferred(seconds)

    def release(self, lease: Lease, seconds: float, why: str) -> None:
        """Make the message visible again, `seconds` from now."""
        self.acks.release(lease, seconds)
        metrics.messages_released.labels(why).inc()
        log.debug("message_released", why=why, seconds=round(seconds))

    async def _retry(self, lease: Lease, retry: Retry) -> None:
        attempt = self._failed(lease, own=retry.own)
        age, horizon = self._age(lease), self._backoff.horizon_seconds
        if attempt.own >= OWN_FAILURES and (
            age > LAST_HORIZON * horizon or (age > horizon and self._others_succeed(attempt, retry))
        ):
            await self._dead_letter(lease, given_up(retry.failure), attempt)
            return
        if retry.outage and not retry.own:  # a failed probe: as blocked as the others
            self._defer_blocked(lease, retry.after)
            return
        backoff = backoff_seconds(
            attempt.all,
            base=self._backoff.base_seconds,
            # Twice as long past the horizon: after eight hours its receives are still below fifty.
            cap=self._backoff.cap_seconds * (2 if age > horizon else 1),
            random=self._random,
        )
        self.release(lease, max(backoff, retry.after or 0), "retry")

    def _others_succeed(self, attempt: Attempt, retry: Retry) -> bool:
        """Return whether its job did another message since this one first failed.

        On a very quiet queue an outage opens no breaker, and each failure looks like its own.
        """
        failing_seconds = attempt.last_failure - attempt.first_failure
        return self._idle_seconds(retry.failure.job) < failing_seconds

    def _defer_blocked(self, lease: Lease, after: float | None) -> None:
        shortest, longest = BLOCKED_SECONDS
        seconds = min(longest, max(shortest / SPREAD[0], self._age(lease), after or 0))
        self.release(lease, seconds * self._random.uniform(*SPREAD), "blocked")

    async def _dead_letter(self, lease: Lease, failure: Failure, attempt: Attempt) -> None:
        message = lease.message
        held = self._limit.hold(message.id, failure)
        if held is not None:
            self.release(lease, held, "dead_letter_limit")
            return
        if await self.dead_letters.send(message, failure, attempt):
            self._attempts.forget(message.id)
            self.acks.delete(lease)
        else:  # not deleted: a lost message is worse than a second one
            self._limit.not_sent(failure)
            self.release(lease, NOT_DEAD_LETTERED_SECONDS, "dead_letter_failed")

    def _failed(self, lease: Lease, *, own: bool) -> Attempt:
        message = lease.message
        return self._attempts.failed(
            message.id, own=own, receive_count=message.receive_count, now=time.time()
        )

    def _age(self, lease: Lease) -> float:
        sent_at = lease.message.sent_at
        return 0.0 if sent_at is None else lease.source.age_seconds(sent_at)
