"""The jobs that are on, as the intake sees them: the state of each, and the limit they share."""

import asyncio
import time
from collections.abc import Iterator
from random import Random

from worker.intake.dead_letter_limit import DeadLetterLimit, Done
from worker.intake.job_state import JobState, Upstreams
from worker.intake.router import Route, Routes
from worker.telemetry import DeadLetterCause, JobStatus, metrics

IDEMPOTENCY = "idempotency"
"""Name of the store's upstream: jobs whose effects the store proves need it."""

SHOWN = 10
"""Causes shown."""


class Jobs:
    """What the parts of the intake ask about jobs, for all queues."""

    def __init__(
        self, routes: Routes, upstreams: Upstreams, *, dead_letters: int, random: Random
    ) -> None:
        """`dead_letters`: of one cause, from which on its messages stay on the queue."""
        self._clock = asyncio.get_running_loop().time
        self.limit = DeadLetterLimit(dead_letters, self.done, self._clock, random)
        self.states = {job: self._state(route, upstreams) for job, route in routes.items()}
        for name, state in self.states.items():
            metrics.job_state.labels(name).set_function(state.level)

    def done(self, job: str | None) -> Done:
        """Return what a job has done, and when last; all of them for None."""
        some = list(self.states.values()) if job is None else [self.states[job]]
        return sum(one.done for one in some), max((one.done_at for one in some), default=0.0)

    def idle_seconds(self, job: str | None) -> float:
        """Return the time since a job last did a message; since any did for None."""
        return self._clock() - self.done(job)[1]

    def statuses(self) -> Iterator[JobStatus]:
        """Yield what /status shows of each job; safe from any thread."""
        now = time.time()
        for state in self.states.values():
            yield state.status(now)

    def causes(self) -> Iterator[DeadLetterCause]:
        """Yield the causes of dead letters that /status shows."""
        held = {(reason, job): count for reason, job, count in self.limit.reached()}
        for reason, job, dead_letters in self.limit.dead_letters()[:SHOWN]:
            held_back = held.get((reason, job), 0)
            yield DeadLetterCause(
                reason=reason, job=job, dead_letters=dead_letters, held_back=held_back
            )

    def problems(self) -> Iterator[str]:
        """Yield what a person must change, a sentence each."""
        for name, state in self.states.items():
            for problem in state.known_problems():
                yield f"{name}: {problem.reason} ({problem.setting}): {problem.remedy}"

    def limits_reached(self) -> Iterator[str]:
        """Yield the causes whose messages are held back, a sentence each."""
        for reason, job, held in self.limit.reached():
            yield f"limit reached for {job or 'unreadable messages'}: {reason}; {held} held back"

    def _state(self, route: Route, upstreams: Upstreams) -> JobState:
        store = [IDEMPOTENCY] if route.proof == "store" else []
        return JobState(
            route.job,
            needs=[*store, *sorted(route.needs)],
            may_miss=sorted(route.may_miss),
            upstreams=upstreams,
            limit=self.limit,
            clock=self._clock,
        )
