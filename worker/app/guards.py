"""One guard per upstream, from the settings, and what they say together."""

import asyncio
from random import Random

from worker.resilience.breaker import Breaker, BreakerPolicy, State
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.limiter import Limiter
from worker.resilience.retry import RetryPolicy
from worker.settings import Breaker as BreakerSettings
from worker.settings import Genesys as GenesysSettings

AWS_DEADLINE_SECONDS = 15
"""For one AWS call; the SDK's own attempts are inside."""

ONCE = RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1)
"""For AWS: its SDK retries already, and retrying in two layers multiplies."""


class Guards:
    """Builds guards and remembers them and their breakers."""

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self._policy = BreakerPolicy(**settings.model_dump())
        self._random = random
        self._breakers: dict[str, Breaker] = {}
        self._guards: list[Guard] = []

    def aws(self, service: str) -> Guard:
        """Return a guard for a client of an AWS service."""
        return self._guard(service, GuardPolicy(ONCE, AWS_DEADLINE_SECONDS))

    def http(self, upstream: str, attempts: int, deadline_seconds: float) -> Guard:
        """Return a guard for an HTTP endpoint without a request budget."""
        return self._guard(upstream, GuardPolicy(_retries(attempts), deadline_seconds))

    def genesys(self, settings: GenesysSettings, limiter: Limiter) -> Guard:
        """Return the guard of the Genesys API, with its request budget."""
        policy = GuardPolicy(_retries(settings.attempts), settings.deadline_seconds)
        return self._guard("genesys", policy, limiter)

    def open_breakers(self) -> tuple[str, ...]:
        """Return the upstreams that are not called at present."""
        return tuple(name for name, breaker in self._breakers.items() if breaker.state == "open")

    def asked_pauses(self) -> dict[str, float]:
        """Return the seconds that upstreams without a request budget want no call for, by name."""
        return {one.upstream: left for one in self._guards if (left := one.paused_for())}

    def state(self, upstream: str) -> State:
        """Return the state of an upstream's breaker; one that is not used counts as closed."""
        breaker = self._breakers.get(upstream)
        return breaker.state if breaker else "closed"

    def _guard(self, upstream: str, policy: GuardPolicy, limiter: Limiter | None = None) -> Guard:
        clock = asyncio.get_running_loop().time
        breaker = Breaker(upstream, self._policy, clock=clock, random=self._random)
        self._breakers[upstream] = breaker
        guard = Guard(policy, breaker=breaker, random=self._random, limiter=limiter, clock=clock)
        self._guards.append(guard)
        return guard


def _retries(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts=attempts, base_seconds=0.5, cap_seconds=5)
