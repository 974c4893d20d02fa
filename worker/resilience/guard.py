"""What stands around every call to one upstream: deadline, retry, breaker, token, limiter, call.

Why the limiter is inside the breaker: a call the breaker refuses must not use up budget, nor wait
for it first. The price is that a permit is older than its call by the wait for budget. So the
permit is confirmed after the wait, and the grant refunded if the breaker opened in the meantime.

A probe of a half-open breaker may wait for budget too. That delays no caller that could have
called: all queue for the same budget, and those behind the breaker are refused at once. The wait
ends within the deadline, and mostly before it starts: a limiter that will be too late (after a 429)
says so at once. Either way the permit leaves its `with` without a result, and the probe is free
again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Final, TypeVar

import structlog
from msgspec import Struct

from worker.errors import (
    BreakerOpen,
    LeaseLost,
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    RequestTooLarge,
    Transient,
    Unauthorized,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.resilience.breaker import Breaker, Permit
from worker.resilience.limiter import Limiter
from worker.resilience.retry import (
    PAUSE_CAP_SECONDS,
    AskedPause,
    RetryBudget,
    RetryPolicy,
    full_jitter,
)
from worker.resilience.work import Deadline, current_work, waiting_for
from worker.telemetry import current_tracing, metrics

T = TypeVar("T")

log = structlog.get_logger()

RESERVE = 0.2
"""Share of the deadline that waits, for budget or for a retry, must leave to the call."""

RESULTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (Permanent, "rejected"),
    (RateLimited, "rate_limited"),
    (RequestTooLarge, "too_large"),
    (Unreadable, "unreadable"),
    (Unavailable, "unavailable"),
    (Unauthorized, "unauthorized"),
    (Misconfigured, "misconfigured"),
    (LeaseLost, "lease_lost"),
    (NotYet, "not_yet"),
    (BreakerOpen, "breaker_open"),
    (asyncio.CancelledError, "cancelled"),
)


class GuardPolicy(Struct, frozen=True):
    """How long and how often one call may try."""

    retries: RetryPolicy
    deadline_seconds: float
    """Time for one call with its retries; what a message waits for token and budget aside."""

    pause_cap_seconds: float = PAUSE_CAP_SECONDS
    """How much of a pause is obeyed that the upstream asks for."""


class _Run(Struct):
    """One call with all its attempts."""

    deadline: float
    first: Callable[[], Awaitable[object] | None] | None
    background: bool


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
        self._pause = AskedPause(policy.pause_cap_seconds)
        # What every call touches is looked up once: a lookup by labels costs more than to count.
        self._done = metrics.dependency_requests.labels(self.upstream, "ok")
        self._duration = metrics.dependency_duration.labels(self.upstream)

    async def call(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        first: Callable[[], Awaitable[object] | None] | None = None,
        repeatable: bool = True,
        background: bool = False,
    ) -> T:
        """Return what `attempt` returns, trying again within the deadline where that may help.

        `first`: what it returns is awaited before each attempt and before the budget is asked: a
        token; None when there is nothing to wait for.
        `repeatable` False: an attempt that may have had its effect (`Unavailable`) is not
        repeated; one that was refused for its rate always is. `background`: after all live calls.

        Raises BreakerOpen when no call was made; RateLimited when the budget, ours or theirs, has
        no token in time; Unavailable when the last attempt failed or the deadline passed;
        LeaseLost when the message is no longer ours; anything else as `attempt` raised it.
        """
        run = _Run(self._clock() + self._policy.deadline_seconds, first, background)
        number = 1
        while True:
            try:
                return await self._try(attempt, run)
            except (Unavailable, RateLimited) as error:
                pause = self._pause_after(error, number)
                if not self._may_repeat(error, number, pause, run, repeatable=repeatable):
                    raise
            await asyncio.sleep(pause)
            number += 1
            metrics.dependency_retries.labels(self.upstream).inc()

    def asked_pause(self) -> tuple[float, float] | None:
        """Return the seconds left of a pause and those a reply asked for; None without one.

        With a limiter always None: that one keeps the pause, as a part of its budget.
        """
        return self._pause.asked(self._clock())

    def _may_repeat(
        self, error: Transient, number: int, pause: float, run: _Run, *, repeatable: bool
    ) -> bool:
        if isinstance(error, RequestTooLarge):
            return False  # the caller asks for less
        if isinstance(error, Unavailable) and (not repeatable or self._breaker.state != "closed"):
            return False  # the breaker would refuse it, and a refusal says less than this failure
        if number >= self._policy.retries.attempts or pause > self._spare(run):
            return False
        return self._budget.spend()

    def _pause_after(self, error: Transient, number: int) -> float:
        if self._limiter and isinstance(error, RateLimited) and current_work():
            return 0.0  # it waits in flight, for the budget
        # On top of Retry-After, not the larger of both: all who were refused got the same number.
        retries = self._policy.retries
        return (error.retry_after or 0) + full_jitter(
            number, base=retries.base_seconds, cap=retries.cap_seconds, random=self._random
        )

    def _spare(self, run: _Run) -> float:
        """Return the seconds that may be used for waiting.

        Not all that is left: a call begun in the last instant would end as a time-out, and the
        breaker would blame the upstream for our queue.
        """
        return run.deadline - self._clock() - RESERVE * self._policy.deadline_seconds

    async def _try(self, attempt: Callable[[], Awaitable[T]], run: _Run) -> T:
        try:
            with self._breaker.permit() as permit:
                if run.first and (token := run.first()) is not None:
                    await self._keep_in_flight("token", token, run)
                    self._breaker.confirm(permit)
                trial = await self._admitted(permit, run)
                answer = await self._judged(permit, attempt, run, trial=trial)
        except BaseException as error:
            self._count(error)
            self._label(error)
            raise
        self._done.inc()
        return answer

    async def _admitted(self, permit: Permit, run: _Run) -> bool:
        """Wait for budget; True for the one call that tries after a pause beyond the cap."""
        if self._limiter is None:
            return self._obey()
        trial = await self._budgeted(self._limiter, run)
        try:
            self._breaker.confirm(permit)
            self._check_lease()
        except (BreakerOpen, LeaseLost):
            if trial:
                self._limiter.tried(answered=False)
            self._limiter.refund()
            raise
        return trial

    async def _budgeted(self, limiter: Limiter, run: _Run) -> bool:
        if (trial := limiter.acquire_now()) is not None:
            return trial
        works = current_work()
        if not works:
            return await limiter.acquire(max_wait=self._spare(run), background=run.background)
        # As long as it is of use to any message of a batch.
        max_wait = max(work.waits_until for work in works) - self._clock()
        asking = limiter.acquire(max_wait=max_wait, job=works[0].job, background=run.background)
        return await self._keep_in_flight("budget", asking, run)

    async def _keep_in_flight(self, what: str, wait: Awaitable[T], run: _Run) -> T:
        """Wait while no deadline runs."""
        began = self._clock()
        try:
            with waiting_for(what, self._clock):
                return await wait
        finally:
            run.deadline += self._clock() - began

    def _obey(self) -> bool:
        """Make no call before the time that a 429 to another caller named."""
        now = self._clock()
        if rest := self._pause.left(now):
            raise RateLimited(f"{self.upstream} asked for a pause", retry_after=rest)
        self._check_lease()
        return self._pause.begin_trial(now)

    def _check_lease(self) -> None:
        works = current_work()
        if works and not any(work.holds_lease() for work in works):
            raise LeaseLost(f"{self.upstream}: not called, the lease of the message is lost")

    async def _timed(self, attempt: Callable[[], Awaitable[T]], run: _Run) -> T:
        deadline = Deadline(run.deadline - self._clock())
        try:
            with deadline:
                return await attempt()
        except TimeoutError as error:
            what = "passed its deadline" if deadline.passed else "timed out"
            raise Unavailable(f"{self.upstream} {what}") from error

    async def _judged(
        self, permit: Permit, attempt: Callable[[], Awaitable[T]], run: _Run, *, trial: bool
    ) -> T:
        """Attempt, and report the result to breaker, limiter and retry budget."""
        started, answered = self._clock(), False
        try:
            with current_tracing().call(self.upstream):
                answer = await self._timed(attempt, run)
        except WorkerError as error:
            answered = self._is_ours(error)
            self._classify(permit, error)
            raise
        else:
            answered = True
            permit.succeeded()
            self._budget.earn()
            return answer
        finally:
            self._duration.observe(self._clock() - started)
            if trial:
                (self._limiter or self).tried(answered=answered)

    def tried(self, *, answered: bool) -> None:
        """Let the others go on after the call that tried whether a long pause still holds."""
        self._pause.end_trial(self._clock(), answered=answered)

    def _classify(self, permit: Permit, error: WorkerError) -> None:
        if not self._is_ours(error):
            return
        match error:
            case RequestTooLarge() | Unreadable() | LeaseLost():
                pass  # a fault of this request, not of the upstream
            case Unavailable():
                permit.failed()
            case Permanent() | NotYet() | Misconfigured():
                permit.alive()
            case RateLimited():
                self._throttled(error)

    def _is_ours(self, error: WorkerError) -> bool:
        """Return whether it is no failure of another upstream, met on the way: the login's."""
        return error.upstream in {None, self.upstream}

    def _throttled(self, error: RateLimited) -> None:
        if self._limiter:
            # A 429 that names no time, or none at all, still means that we are too fast.
            self._limiter.pause_for(error.retry_after or self._policy.retries.base_seconds)
        else:
            metrics.ratelimit_throttled.labels(self.upstream).inc()
            self._pause.ask(self._clock(), error.retry_after or 0)

    def _label(self, error: BaseException) -> None:
        """Say where it happened, and bound for how long it keeps a message away."""
        if isinstance(error, WorkerError):
            error.upstream = error.upstream or self.upstream
        if isinstance(error, Transient) and error.retry_after is not None:
            error.retry_after = min(error.retry_after, self._policy.pause_cap_seconds)

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
