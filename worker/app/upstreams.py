"""One guard per upstream, from the settings, and what they say together.

Genesys Cloud is several upstreams: the system behind a data action may be down while analytics
answers. They share connections, token and request budget, and nothing else.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Final, Protocol

from worker.errors import Misconfigured
from worker.resilience import (
    PAUSE_CAP_SECONDS,
    FleetBudget,
    Guard,
    GuardPolicy,
    Limiter,
    ReplicasUseful,
    RetryPolicy,
)
from worker.resilience.breaker import Breaker, BreakerPolicy, State
from worker.settings import Breaker as BreakerSettings
from worker.settings import Genesys as GenesysSettings
from worker.telemetry import UpstreamStatus, metrics

AWS_DEADLINE_SECONDS = 15
"""For one AWS call; the SDK's own attempts are inside."""

ONCE = RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1)
"""For AWS, whose SDK retries already, and for tokens, whose callers do: retrying in two layers
multiplies."""

LONG_PAUSE_SECONDS = 300.0
"""An asked pause beyond it makes the worker not ready."""

LOGIN = "login"
GENESYS: Final = ("data_action", "conversations", "analytics", "speech", "architect", "platform")
"""The parts of the API; each call names its own (`worker.clients.genesys.wire.Call`)."""


class Pausing(Protocol):
    """What keeps a pause that an upstream asked for."""

    def asked_pause(self) -> tuple[float, float] | None:
        """Return the seconds left and those asked for; None without a pause."""


class Upstreams:
    """Builds guards, remembers them and their breakers, and says why an upstream is not called."""

    def __init__(
        self,
        settings: BreakerSettings,
        random: Random,
        pause_cap_seconds: float = PAUSE_CAP_SECONDS,
    ) -> None:
        self._policy = BreakerPolicy(**settings.model_dump())
        self._random = random
        self._pause_cap_seconds = pause_cap_seconds
        self._breakers: dict[str, Breaker] = {}
        self._pausing: dict[str, Pausing] = {}
        self._problems: dict[str, Callable[[], Misconfigured | None]] = {}

    def aws(self, service: str) -> Guard:
        """Return a guard for a client of an AWS service."""
        return self._guard(service, ONCE, AWS_DEADLINE_SECONDS)

    def http(self, upstream: str, attempts: int, deadline_seconds: float) -> Guard:
        """Return a guard for an HTTP endpoint without a request budget."""
        return self._guard(upstream, _retries(attempts), deadline_seconds)

    def login(self, settings: GenesysSettings, name: str = LOGIN) -> Guard:
        """Return the guard of a token host."""
        return self._guard(name, ONCE, settings.deadline_seconds)

    def genesys(self, settings: GenesysSettings, limiter: Limiter) -> Mapping[str, Guard]:
        """Return the guards of the Genesys API by upstream, over one budget."""
        retries, deadline = _retries(settings.attempts), settings.deadline_seconds
        self._pausing[limiter.upstream] = limiter
        return {name: self._guard(name, retries, deadline, limiter) for name in GENESYS}

    def limiter(self, settings: GenesysSettings, fleet: FleetBudget | None = None) -> Limiter:
        """Return the request budget of Genesys: this process's token's, and the fleet's if any."""
        return Limiter(
            "genesys",
            per_minute=settings.requests_per_minute,
            pause_cap_seconds=self._pause_cap_seconds,
            fleet=fleet,
        )

    def report_problem_of(
        self, upstream: str, problem: Callable[[], Misconfigured | None], pausing: Pausing
    ) -> None:
        """Let an upstream say by itself what is wrong with it: no message has to find out."""
        self._problems[upstream] = problem
        self._pausing[upstream] = pausing

    def names(self) -> frozenset[str]:
        """Return the names of all upstreams there are."""
        return frozenset(self._breakers)

    def state(self, upstream: str) -> State:
        """Return the state of an upstream's breaker; one that is not used counts as closed."""
        breaker = self._breakers.get(upstream)
        return breaker.state if breaker else "closed"

    def problem(self, upstream: str) -> Misconfigured | None:
        """Return a configuration problem of an upstream that is known without a message."""
        ask = self._problems.get(upstream)
        return ask() if ask else None

    def reason(self, upstream: str) -> str:
        """Return why an upstream is not called, and for how long; empty if it is."""
        return "; ".join(filter(None, (self._failure(upstream), self._paused(upstream))))

    def asked_pauses(self) -> dict[str, tuple[float, float]]:
        """Return the pauses that upstreams asked for, by name: seconds left, and seconds asked.

        Those of the Genesys API are its budget's, `genesys`.
        """
        return {
            name: pause
            for name, pausing in self._pausing.items()
            if (pause := pausing.asked_pause()) is not None
        }

    def show_pauses(self) -> None:
        """Let the metrics report the pauses of all upstreams there are, and of the Genesys budget.

        They are read by the scrape's thread.
        """
        for keeper in self._pausing:
            metrics.asked_pause.labels(keeper).set_function(partial(self._seconds_left, keeper))

    def long_pauses(self) -> Iterator[str]:
        """Yield the asked pauses of which much is left."""
        for name, (left, asked) in self.asked_pauses().items():
            if left > LONG_PAUSE_SECONDS:
                yield f"{name} asked for {asked:.0f} s, {left:.0f} s of it left"

    def statuses(self) -> Iterator[UpstreamStatus]:
        """Yield what is wrong with upstreams; called from the server's thread, so it only reads."""
        pauses = self.asked_pauses()
        for name in sorted(self.names()):
            left, asked = pauses.get(name, (0.0, 0.0))
            state = self.state(name)
            if state != "closed" or left:
                yield UpstreamStatus(
                    name=name,
                    breaker=state,
                    reason=self.reason(name),
                    pause_seconds=left,
                    asked_seconds=asked,
                )

    def _seconds_left(self, keeper: str) -> float:
        return self.asked_pauses().get(keeper, (0.0, 0.0))[0]

    def _failure(self, upstream: str) -> str:
        if problem := self.problem(upstream):
            return f"{problem.reason}: {problem.remedy}"
        breaker = self._breakers.get(upstream)
        match breaker.state if breaker else "closed":
            case "open" if breaker:
                return f"breaker open: it is tried again in {breaker.retry_after():.0f} s"
            case "half_open":
                return "breaker half-open: one message at a time tries"
        return ""

    def _paused(self, upstream: str) -> str:
        keeper = "genesys" if upstream in GENESYS else upstream
        pause = self.asked_pauses().get(keeper)
        return f"asked for a pause of {pause[1]:.0f} s: {pause[0]:.0f} s left" if pause else ""

    def _guard(
        self,
        upstream: str,
        retries: RetryPolicy,
        deadline_seconds: float,
        limiter: Limiter | None = None,
    ) -> Guard:
        clock = asyncio.get_running_loop().time
        breaker = Breaker(upstream, self._policy, clock=clock, random=self._random)
        policy = GuardPolicy(retries, deadline_seconds, self._pause_cap_seconds)
        guard = Guard(policy, breaker=breaker, random=self._random, limiter=limiter, clock=clock)
        self._breakers[upstream] = breaker
        if limiter is None:
            self._pausing[upstream] = guard
        return guard


def _retries(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts=attempts, base_seconds=0.5, cap_seconds=5)


def shown_replicas_useful(settings: GenesysSettings, concurrency: int) -> ReplicasUseful | None:
    """Return what metrics report of the replicas that are useful; None where no budget is shared.

    `concurrency`: messages that one replica works on at once.
    """
    if (per_minute := settings.fleet_requests_per_minute) is None:
        return None
    useful = ReplicasUseful(per_minute, settings.requests_per_minute, concurrency)
    metrics.replicas_useful.set_function(useful.figure)
    return useful
