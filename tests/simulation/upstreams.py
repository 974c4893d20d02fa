"""What the jobs call: the other side with its faults, and the worker's real guards before it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random

from tests.simulation.scenario import Fault
from tests.simulation.sqs import Sent
from worker.app.upstreams import GENESYS, Upstreams
from worker.clients.genesys.conversations import Batching
from worker.errors import Unavailable
from worker.resilience.batcher import Batcher
from worker.resilience.guard import Guard
from worker.resilience.work import waiting_for
from worker.settings import Settings

AWS = ("dynamodb", "stepfunctions", "events", "s3_reports")
AWS_SECONDS = 0.02
SECONDS = 0.3
ATTEMPTS = 3
DEADLINE_PER_TIMEOUT = 2.5
"""Of the CRM and of webhooks: two attempts and their pause; at most a minute."""

MOST_TOGETHER = 100
"""Conversations that analytics is asked for at once."""


class OtherSide:
    """All upstreams as they really are, the same for every process."""

    def __init__(
        self, faults: Sequence[Fault], seconds: Mapping[str, float], timeout: float, random: Random
    ) -> None:
        self.calls = 0
        self._faults = faults
        self._seconds = seconds
        self.timeout = timeout
        self._random = random
        self._loop = asyncio.get_running_loop()

    async def answer(self, name: str, messages: Sequence[Sent]) -> list[None]:
        """Answer one call. Raises Unavailable."""
        self.calls += 1
        seconds = self._latency(name) * self._random.uniform(0.7, 1.3)
        if seconds > self.timeout:
            await asyncio.sleep(self.timeout)
            raise Unavailable(f"{name} timed out")
        await asyncio.sleep(seconds)
        if self._is_down(name) or any(sent.fault == name for sent in messages):
            raise Unavailable(f"{name} answered 500")
        return [None] * len(messages)

    def _latency(self, name: str) -> float:
        now = self._loop.time()
        slow = [
            fault.seconds
            for fault in self._faults
            if fault.upstream == name and fault.seconds and fault.start <= now < fault.end
        ]
        usual = AWS_SECONDS if name in AWS else SECONDS
        return slow[0] if slow else self._seconds.get(name, usual)

    def _is_down(self, name: str) -> bool:
        now = self._loop.time()
        return any(
            fault.upstream == name and not fault.seconds and fault.start <= now < fault.end
            for fault in self._faults
        )


class Calls:
    """The upstreams as one process calls them: guard, breaker, budget, and analytics in batches."""

    def __init__(
        self, upstreams: Upstreams, settings: Settings, names: set[str], side: OtherSide
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.limiter = upstreams.limiter(settings.genesys)
        self._guards: dict[str, Guard] = dict(upstreams.genesys(settings.genesys, self.limiter))
        for name in sorted(names - set(GENESYS)):
            self._guards[name] = (
                upstreams.aws(name)
                if name in AWS
                else upstreams.http(name, ATTEMPTS, min(60.0, DEADLINE_PER_TIMEOUT * side.timeout))
            )
        self._side = side
        self._batching = Batching.within(settings.genesys.requests_per_minute)
        self._next_at = 0.0
        self._analytics: Batcher[Sent, None] = Batcher(
            self._analytics_call,
            max_items=MOST_TOGETHER,
            max_wait_seconds=self._batching.wait_seconds,
            max_concurrent=2,
            waits_for="budget",
        )

    async def ask(self, name: str, sent: Sent) -> None:
        """Call an upstream for a message; raises what the guard raises."""
        if name == "analytics":
            if (wait := self._next_at - self._loop.time()) > 0:
                with waiting_for("budget", self._loop.time):
                    await asyncio.sleep(wait)
            await self._analytics.submit(sent)
        else:
            await self._call(name, [sent])

    async def _analytics_call(self, messages: Sequence[Sent]) -> Sequence[None]:
        self._next_at = self._loop.time() + self._batching.gap_seconds
        return await self._call("analytics", messages)

    async def _call(self, name: str, messages: Sequence[Sent]) -> Sequence[None]:
        attempt: Callable[[], Awaitable[list[None]]] = partial(self._side.answer, name, messages)
        return await self._guards[name].call(attempt)
