"""What is known of the running worker: readiness and /status, of what its parts say themselves."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, NamedTuple

import structlog

from worker.app.upstreams import GENESYS, Upstreams, show_replicas_useful
from worker.clients.genesys import GenesysClients
from worker.intake import Intake, QueueStatusReader
from worker.ops import Check
from worker.settings import Settings
from worker.telemetry import JobStatus, Snapshot

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 30

USE_SECONDS = 1
"""Between two samples of what is done for messages."""

WINDOW_SECONDS = 120
"""What is known of the traffic is that of the last two minutes: the budget counts by the minute."""

ROUNDING = 0.05
"""Of a replica: one more for less than that would have next to nothing to do."""

LEAST_SECONDS, LEAST_CALLS = 30, 10
"""Fewer say nothing of the traffic."""

UNLIMITED = 1000
"""Replicas that are useful where the budget is not what limits them: no fleet has more."""


class Use(NamedTuple):
    """What a replica has done since its start; but for `at`, each only grows."""

    at: float
    """Seconds of a monotonic clock."""

    calls: float
    """Requests of the budget."""

    messages: float
    cpu_seconds: float
    busy_seconds: float
    """Of messages in flight, in which they did not wait for the budget: of two at once, twice."""


class ReplicasUseful:
    """How many replicas the shared budget keeps busy; one more than that would only wait for it.

        useful = ceil(budget ÷ u)      u = min(own limit, calls ÷ busy)

    `u` is what one replica would use a minute if it never waited for the budget: the calls that it
    made in a minute by the share of itself that it needed for them. That share is the greater one
    of two: of its permits, without messages that wait for the budget, and of a core. So the figure
    does not depend on whether the budget is used up now. Where fewer than one call is made for two
    messages, other replicas are of use to the rest of them, budget or not.
    """

    def __init__(self, per_minute: float, own_per_minute: float, concurrency: int) -> None:
        """`per_minute`: of all replicas; `own_per_minute`: most that one may use."""
        self._per_minute: Final = per_minute
        self._own_per_minute: Final = own_per_minute
        self._concurrency: Final = concurrency
        self._uses: deque[Use] = deque()

    def add(self, use: Use) -> None:
        """Take a sample."""
        self._uses.append(use)
        while use.at - self._uses[0].at > WINDOW_SECONDS:
            self._uses.popleft()

    def figure(self) -> int:
        """Return the figure; 0 while too little is known, so that nothing is limited by it.

        The scrape's thread asks, too: it only reads.
        """
        if not self._uses:
            return 0
        since, now = self._uses[0], self._uses[-1]
        seconds, calls = now.at - since.at, now.calls - since.calls
        messages = now.messages - since.messages
        if seconds < LEAST_SECONDS or max(messages, calls) < LEAST_CALLS:
            return 0
        if calls < messages / 2:
            return UNLIMITED
        of_permits = (now.busy_seconds - since.busy_seconds) / (seconds * self._concurrency)
        busy = max(of_permits, (now.cpu_seconds - since.cpu_seconds) / seconds)
        possible = 60 * calls / seconds / busy if busy > 0 else self._own_per_minute
        useful = ceil(self._per_minute / min(self._own_per_minute, possible) - ROUNDING)
        return max(1, min(UNLIMITED, useful))


@dataclass(frozen=True, slots=True)
class _Built:
    intake: Intake
    upstreams: Upstreams
    genesys: Sequence[GenesysClients]

    def problems_of(self, problem_of: Callable[[QueueStatusReader], str | None]) -> Iterator[str]:
        for one in self.intake.queues:
            if problem := problem_of(one):
                yield f"{one.consumer.name}: {problem}"

    def token_problem(self) -> Iterator[str]:
        yield from dict.fromkeys(one.problem for one in self.genesys if one.problem)


Sentences = Callable[[_Built], Iterable[str]]


class Sampler:
    """Asks the parts, for readiness and /status, and samples what SQS and Genesys alone know."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._started_at = self._clock()
        self._built: _Built | None = None
        self._warnings: tuple[str, ...] = ()
        self._busy_seconds = 0.0

    def attach(
        self, intake: Intake, upstreams: Upstreams, genesys: Sequence[GenesysClients]
    ) -> None:
        """Take the parts, once they are built."""
        self._built = _Built(intake, upstreams, genesys)
        upstreams.show_pauses()

    def warn(self, warnings: Iterable[str]) -> None:
        """Log what was found at the start, and show it from now on."""
        found = tuple(warnings)
        for one in found:
            log.warning("start_warning", finding=one)
        self._warnings += found

    def checks(self) -> dict[str, Check]:
        """Return what readiness depends on, by name."""
        since = self._started_at
        return {
            "start": lambda: None if self._built else self._waits_for(),
            "queue": self._check(lambda on: on.problems_of(lambda one: one.receive_problem(since))),
            "genesys": self._check(_Built.token_problem),
            "acks": self._check(lambda on: on.problems_of(QueueStatusReader.ack_problem)),
            "jobs": self._check(lambda on: on.intake.jobs.problems()),
            "dead letters": self._check(lambda on: on.intake.dead_letter_problems()),
            "pause": self._check(lambda on: on.upstreams.long_pauses()),
        }

    def snapshot(self) -> Snapshot:
        """Return what /status is made of; called from the server's thread, so it only reads."""
        uptime, built = self._clock() - self._started_at, self._built
        if built is None:
            return Snapshot(
                starting=self._waits_for(), uptime_seconds=uptime, warnings=self._warnings
            )
        now = built.intake.snapshot()
        return replace(
            now,
            uptime_seconds=uptime,
            jobs=(*now.jobs, *self._jobs_off()),
            upstreams=tuple(built.upstreams.statuses()),
            budget_exhausted_seconds=max(
                (one.limiter.exhausted_for() for one in built.genesys), default=0.0
            ),
            budget_upstreams=GENESYS if built.genesys else (),
            warnings=self._warnings,
        )

    async def run(self) -> None:
        """Sample the queues, the token and the use, for ever; a failure costs a sample."""
        await asyncio.gather(self._ask(), self._sample_use())

    async def _ask(self) -> None:
        while True:
            if (built := self._built) is not None:
                samples = [one.sample() for one in built.intake.queues]
                samples += [one.check_token() for one in built.genesys]
                await asyncio.gather(*samples)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _sample_use(self) -> None:
        """Keep the figure for the scaler, where a budget is shared."""
        genesys, sqs = self._settings.genesys, self._settings.sqs
        per_minute = genesys.fleet_requests_per_minute
        if per_minute is None or self._settings.budget_table is None:
            return
        useful = ReplicasUseful(per_minute, genesys.requests_per_minute, sqs.concurrency)
        show_replicas_useful(useful.figure)
        while True:
            if (built := self._built) is not None:
                useful.add(self._use(built))
            await asyncio.sleep(USE_SECONDS)

    def _use(self, built: _Built) -> Use:
        self._busy_seconds += USE_SECONDS * built.intake.busy()
        limiters = {one.limiter for one in built.genesys}  # mostly one: all tokens share a budget
        return Use(
            self._clock(),
            sum(one.calls for one in limiters),
            built.intake.acked(),
            time.process_time(),
            self._busy_seconds,
        )

    def _check(self, sentences: Sentences) -> Check:
        def check() -> str | None:
            built = self._built
            return "; ".join(sentences(built)) or None if built else None

        return check

    def _waits_for(self) -> str:
        names = ", ".join(binding.name for binding in self._settings.queues())
        return f"waiting for SQS to answer for {names}"

    def _jobs_off(self) -> Iterator[JobStatus]:
        half = self._settings.half_configured()
        for name, missing in self._settings.disabled_jobs().items():
            lacks = f"not set: {', '.join(missing)}" if missing else "not in HANDLERS"
            reason = half.get(name) or lacks
            yield JobStatus(name=name, state="off", reason=reason)
