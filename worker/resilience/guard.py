"""What stands around every call to one upstream: deadline, retry, breaker, limiter, call.

Why the limiter is inside the breaker: a call the breaker refuses must not use up budget, nor wait
for it first. The price is that a permit is older than its call by the wait for budget. So the
permit is confirmed after the wait, and the grant given back if the breaker opened in the meantime.

A probe of a half-open breaker may wait for budget too. That holds nobody up who could have called:
all queue for the same budget, and those behind the breaker are refused at once. The wait ends
within the deadline, and mostly before it starts: a limiter that will be too late (after a 429) says
so at once. Either way the permit leaves its `with` without a verdict, and the probe is free again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

import structlog

from worker.errors import (
    BreakerOpen,
    NotYet,
    Permanent,
    RateLimited,
    Transient,
    Unauthorized,
    Unavailable,
    WorkerError,
)
from worker.resilience.breaker import Breaker, Permit
from worker.resilience.limiter import Limiter
from worker.resilience.retry import RetryBudget, RetryPolicy, full_jitter
from worker.telemetry import metrics
from worker.telemetry.tracing import tracing

T = TypeVar("T")

log = structlog.get_logger()

RESERVE = 0.2
"""Share of the deadline that waits, for budget or for a retry, must leave to the call."""

RESULTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (Permanent, "rejected"),
    (RateLimited, "rate_limited"),
    (Unavailable, "unavailable"),
    (Unauthorized, "unauthorized"),
    (NotYet, "not_yet"),
    (BreakerOpen, "breaker_open"),
    (asyncio.CancelledError, "cancelled"),
)


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """How long and how often one call may try."""

    retries: RetryPolicy
    deadline_seconds: float
    """Time for one call with its retries, its waits and its budget."""


class Guard:
    """The guard of one upstream; `clock` defaults to the running loop's, whose timers it uses."""

    def __init__(
        self,
        policy: GuardPolicy,
        *,
        breaker: Breaker,
        random: Random,
        limiter: Limiter | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.upstream: Final = breaker.upstream
        self._policy = policy
        self._breaker = breaker
        self._limiter = limiter
        self._random = random
        self._clock = clock or asyncio.get_running_loop().time
        self._budget = RetryBudget(clock=self._clock)
        self._refused_until = self._clock()
        # What every call touches is looked up once: a look-up by labels costs more than to count.
        self._done = metrics.dependency_requests.labels(self.upstream, "ok")
        self._duration = metrics.dependency_duration.labels(self.upstream)

    async def call(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        repeatable: bool = True,
        background: bool = False,
    ) -> T:
        """Return what `attempt` returns, trying again within the deadline where that may help.

        `repeatable` False: an attempt that may have had its effect (`Unavailable`) is not
        repeated; one that was refused for its rate always is. `background`: after all live calls.

        Raises BreakerOpen when no call was made, or no further one; RateLimited when the budget,
        ours or theirs, has no room within the deadline; Unavailable when the last attempt failed
        or the deadline passed; anything else as `attempt` raised it.
        """
        deadline = self._clock() + self._policy.deadline_seconds
        number = 1
        while True:
            try:
                return await self._try(attempt, deadline, background=background)
            except (Unavailable, RateLimited) as error:
                if isinstance(error, Unavailable) and not repeatable:
                    raise
                pause = self._pause_after(error, number)
                if number >= self._policy.retries.attempts or pause > self._spare(deadline):
                    raise
                if not self._budget.spend():
                    raise
            await asyncio.sleep(pause)
            number += 1
            metrics.dependency_retries.labels(self.upstream).inc()

    def _pause_after(self, error: Transient, number: int) -> float:
        # On top of Retry-After, not the larger of both: all who were refused got the same number.
        retries = self._policy.retries
        return (error.retry_after or 0) + full_jitter(
            number, base=retries.base_seconds, cap=retries.cap_seconds, random=self._random
        )

    def _spare(self, deadline: float) -> float:
        """Return the seconds that may be spent on waiting.

        Not all that is left: a call begun in the last instant would end as a time-out, and the
        breaker would blame the upstream for our queue.
        """
        return deadline - self._clock() - RESERVE * self._policy.deadline_seconds

    async def _try(
        self, attempt: Callable[[], Awaitable[T]], deadline: float, *, background: bool
    ) -> T:
        try:
            with self._breaker.permit() as permit:
                self._obey()
                if self._limiter:
                    room = self._spare(deadline)
                    await self._limiter.acquire(max_wait=room, background=background)
                    self._confirm(permit, self._limiter)
                answer = await self._judged(permit, attempt, deadline)
        except BaseException as error:
            self._count(error)
            raise
        self._done.inc()
        return answer

    def paused_for(self) -> float:
        """Return the seconds left of a pause that a 429 named; 0 when there is none.

        With a limiter always 0: that one keeps the pause, as a part of its budget.
        """
        return max(0.0, self._refused_until - self._clock())

    def _obey(self) -> None:
        """Make no call before the time that a 429 to another caller named."""
        if rest := self.paused_for():
            raise RateLimited(f"{self.upstream} asked for a pause", retry_after=rest)

    def _confirm(self, permit: Permit, limiter: Limiter) -> None:
        try:
            self._breaker.confirm(permit)
        except BreakerOpen:
            limiter.give_back()
            raise

    async def _timed(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        try:
            async with asyncio.timeout(deadline - self._clock()) as timeout:
                return await attempt()
        except TimeoutError as error:
            what = "passed its deadline" if timeout.expired() else "timed out"
            raise Unavailable(f"{self.upstream} {what}") from error

    async def _judged(
        self, permit: Permit, attempt: Callable[[], Awaitable[T]], deadline: float
    ) -> T:
        """Attempt, and tell breaker, limiter and retry budget how it went."""
        started = self._clock()
        try:
            with tracing().call(self.upstream):
                answer = await self._timed(attempt, deadline)
        except Unavailable:
            permit.failed(self._clock() - started)
            raise
        except (Permanent, NotYet, Unauthorized):
            permit.alive(self._clock() - started)
            raise
        except RateLimited as error:
            self._throttled(error)
            raise
        else:
            permit.succeeded(self._clock() - started)
            self._budget.earn()
            return answer
        finally:
            self._duration.observe(self._clock() - started)

    def _throttled(self, error: RateLimited) -> None:
        if self._limiter:
            # A 429 that names no time, or none at all, still means that we are too fast.
            self._limiter.pause_for(error.retry_after or self._policy.retries.base_seconds)
        else:
            metrics.ratelimit_throttled.labels(self.upstream).inc()
            asked = self._clock() + (error.retry_after or 0)
            self._refused_until = max(self._refused_until, asked)

    def _count(self, error: BaseException) -> None:
        result = next((name for kind, name in RESULTS if isinstance(error, kind)), "error")
        metrics.dependency_requests.labels(self.upstream, result).inc()


@asynccontextmanager
async def best_effort(effect: str) -> AsyncIterator[None]:
    """Let the block fail: a `WorkerError` or a time-out is counted and logged, and that is all.

    Cancellation and programming errors pass. `effect` is a closed set: it becomes a label.
    """
    try:
        yield
    except (WorkerError, TimeoutError) as error:
        metrics.best_effort_failures.labels(effect).inc()
        log.warning(
            "best_effort_failed", effect=effect, error=str(error), error_class=type(error).__name__
        )
