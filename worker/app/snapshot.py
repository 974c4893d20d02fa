"""What is known of the running worker: readiness and /status, of what its parts say themselves."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from worker.app.upstreams import GENESYS, Upstreams, shown_replicas_useful
from worker.clients.genesys import GenesysClients
from worker.intake import Intake, QueueStatusReader
from worker.ops import Check
from worker.settings import Settings
from worker.telemetry import JobStatus, Snapshot

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 30

USE_SECONDS = 1
"""Between two samples of what is done for messages."""


class _Built(Struct, frozen=True):
    intake: Intake
    upstreams: Upstreams
    genesys: Sequence[GenesysClients]

    def problems_of(self, problem_of: Callable[[QueueStatusReader], str | None]) -> Iterator[str]:
        for one in self.intake.queues:
            if problem := problem_of(one):
                yield f"{one.consumer.name}: {problem}"

    def use(self) -> dict[str, float]:
        """Return what was done since the start, by the names of `ReplicasUseful.add`."""
        limiters = {one.limiter for one in self.genesys}  # mostly one: all tokens share a budget
        return {
            "calls": sum(one.calls for one in limiters),
            "messages": self.intake.acked(),
            "cpu_seconds": time.process_time(),
        }

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
        if self._settings.budget_table is None:
            return
        useful = shown_replicas_useful(self._settings.genesys, self._settings.sqs.concurrency)
        busy_seconds = 0.0
        while useful is not None:
            if (built := self._built) is not None:
                busy_seconds += USE_SECONDS * built.intake.busy()
                useful.add(at=self._clock(), busy_seconds=busy_seconds, **built.use())
            await asyncio.sleep(USE_SECONDS)

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
