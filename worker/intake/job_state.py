"""Whether the messages of each job can succeed now, and why not; and the limit that jobs share."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Literal, Protocol

import structlog

from worker.errors import Misconfigured
from worker.findings import EXPLANATIONS, code_of
from worker.intake.dead_letter_limit import DeadLetterLimit, Done
from worker.intake.router import Route, Routes
from worker.telemetry import Count, DeadLetterCause, JobStatus, LastFailure, Problem, metrics

log = structlog.get_logger(__name__)

State = Literal["closed", "half_open", "open"]
"""Of a gate: what may pass. A breaker's states are the other way round: closed is healthy."""

PROBLEM_PAUSE_SECONDS = (5.0, 30.0)
"""First and longest pause of a job whose setting is wrong: then one message tries."""

RECENT_SUCCESS_SECONDS = 30.0
"""A setting through which a job succeeded that lately may not be wrong for all of its messages."""

MOST_PROBLEMS = 8
"""Problems of one job that are named at once."""

FEWEST_MESSAGES = 3
"""So many that meet the same without a success between them are not one message's fault."""

IDEMPOTENCY = "idempotency"
"""Name of the store's upstream: jobs whose effects the store proves need it."""

SHOWN = 10
"""Causes shown."""


class Upstreams(Protocol):
    """What is known of the upstreams; see `worker.app.upstreams`."""

    def state(self, name: str) -> Literal["closed", "half_open", "open"]:
        """Return the state of its breaker."""

    def reason(self, name: str) -> str:
        """Return why it is not called."""

    def problem(self, name: str) -> Misconfigured | None:
        """Return what a person must change, as far as is known without a message."""

    def names(self) -> frozenset[str]:
        """Return the upstreams there are."""


class Limit(Protocol):
    """What is asked of the dead-letter limit."""

    def gate(self, job: str) -> tuple[float, str] | None:
        """Return when one message may try, and why; None while nothing holds the job."""


LEVELS: Mapping[State, int] = {"open": 0, "half_open": 1, "closed": 2}
"""The states as the metric reports them."""

MISCONFIGURED = 3
"""What it reports of a job for which a person must change something."""


class JobState:
    """Whether messages of one job can succeed now."""

    state: State
    """As last checked; `check` renews it."""

    reason: str
    missed: Literal["closed", "half_open", "open"]
    """Worst breaker among those it may miss, as last checked: its gate does not close for them,
    and chooses no probe, so that any message will do."""

    probing: object | None
    """The lease of the message that probes while the job is half-open; one at a time. Only which
    one it is matters here."""

    problem: Misconfigured | None
    """What a person must change, as its messages found out last."""

    _problems: tuple[Misconfigured, ...] = ()
    """All of it that they found out since one was done last, each once."""

    done = 0
    done_at = float("-inf")
    """When it last succeeded; both are written by the delivery, as is the next."""

    last_failure: tuple[str, str, float] | None = None
    """Reason and fingerprint of what it last failed of, and when, in seconds since the epoch; the
    delivery writes it, too."""

    def __init__(
        self,
        name: str,
        *,
        needs: Iterable[str],
        may_miss: Iterable[str],
        upstreams: Upstreams,
        limit: Limit,
        clock: Callable[[], float],
    ) -> None:
        """Take upstreams without which it cannot succeed, `needs`, and those it can do without."""
        # Not as defaults of the class: they are read for each message, and take four times as long.
        self.state, self.reason, self.missed = "open", "", "closed"
        self.probing = self.problem = None
        self.name = name
        self.needs = tuple(dict.fromkeys(needs))
        self.may_miss = tuple(dict.fromkeys(may_miss))
        self._upstreams = upstreams
        self._limit = limit
        self._clock = clock
        self.results: dict[str, Count] = {}
        """The counters of what its runs returned, each from the first on."""

        self.durations = metrics.message_duration.labels(name)
        self.ages = metrics.event_age.labels(name)
        self._met: set[str] = set()
        """Messages that met its problem since one was done last."""

        self._problem_pause = 0.0
        self._probe_at = 0.0

    def check(self) -> State:
        """Return what may pass now, worst reason first, and record it."""
        self.state, self.reason = self._check_state()
        self.missed = self._missed()
        return self.state

    def _missed(self) -> Literal["closed", "half_open", "open"]:
        states = [self._upstreams.state(name) for name in self.may_miss]
        # Refused credentials open no breaker, and are as much of an absence.
        if "open" in states or self._upstream_problem(*self.may_miss):
            return "open"
        return "half_open" if "half_open" in states else "closed"

    def is_down(self) -> bool:
        """Whether an upstream is known to be down, one that may be missing included."""
        state = self._upstreams.state
        return any(state(name) != "closed" for name in (*self.needs, *self.may_miss))

    def known_problem(self) -> Misconfigured | None:
        """Return what a person must change for this job; safe from any thread."""
        return self._upstream_problem(*self.needs, *self.may_miss) or self.problem

    def known_problems(self) -> tuple[Misconfigured, ...]:
        """Return all that a person must change for this job; safe from any thread.

        Of several missing permissions each message meets one: to whom they are named one by one,
        each is another round with the administrator.
        """
        upstreams = self._upstream_problem(*self.needs, *self.may_miss)
        if upstreams is not None:
            return (upstreams,)
        return self._problems or ((self.problem,) if self.problem else ())

    def level(self) -> int:
        """Return the state as the metric reports it; called by the scrape's thread."""
        return MISCONFIGURED if self.known_problem() else LEVELS[self.state]

    def status(self, now: float) -> JobStatus:
        """Return what /status shows, `now` in seconds since the epoch; safe from any thread."""
        return JobStatus(
            name=self.name,
            state=self.state,
            reason=self.reason,
            problems=tuple(map(self._shown, self.known_problems())),
            outcomes=_outcomes(self.name),
            last_failure=self._last_failure(now),
        )

    def _last_failure(self, now: float) -> LastFailure | None:
        if self.last_failure is None:
            return None
        reason, fingerprint, at = self.last_failure
        return LastFailure(reason=reason, fingerprint=fingerprint, seconds_ago=now - at)

    def _shown(self, problem: Misconfigured) -> Problem:
        cause = f"{problem.reason} ({problem.setting})"
        code = code_of_problem(problem.setting)
        return Problem(where=f"job {self.name}", cause=cause, remedy=problem.remedy, code=code)

    def misconfigured(self, problem: Misconfigured, message_id: str) -> None:
        """Record what a message met. It is shown at once.

        The job waits from the third message on, or if it did nothing lately: one message alone may
        be what the permission is missing for. What an upstream knows of itself is its own: it heals
        without a message.
        """
        known = self._upstream_problem(*self.needs, *self.may_miss)
        if known is not None and known.reason == problem.reason:
            return
        now = self._clock()
        self._remember(problem)
        self.problem = problem
        self._met.add(message_id)
        if len(self._met) < FEWEST_MESSAGES and now - self.done_at < RECENT_SUCCESS_SECONDS:
            return
        if now < self._probe_at:
            return  # it began before the pause, and says nothing new
        first, longest = PROBLEM_PAUSE_SECONDS
        self._problem_pause = min(longest, self._problem_pause * 2) or first
        self._probe_at = now + self._problem_pause

    def _remember(self, problem: Misconfigured) -> None:
        """Keep the latest of each kind; reasons differ by the vendor's id of the reply."""
        known = {(one.setting, one.remedy): one for one in self._problems}
        key = (problem.setting, problem.remedy)
        if key not in known:
            _log_problem(self.name, problem)
        known[key] = problem
        self._problems = tuple(known.values())[-MOST_PROBLEMS:]

    def recovered(self) -> None:
        """Forget the problems: a message was done in spite of them."""
        self._problems = ()
        if self.problem is not None:
            log.info("job_recovered", job=self.name, setting=self.problem.setting)
            self.problem, self._problem_pause, self._probe_at = None, 0.0, 0.0
            self._met.clear()

    def _upstream_problem(self, *names: str) -> Misconfigured | None:
        for name in names:
            if problem := self._upstreams.problem(name):
                return problem
        return None

    def _check_state(self) -> tuple[State, str]:
        problem = self._upstream_problem(*self.needs)
        if problem is not None and problem is not self.problem:
            return "closed", f"{problem.reason}; {problem.remedy}"
        if self.problem is not None and self._problem_pause:
            return self._until(self._probe_at), f"{self.problem.reason}; {self.problem.remedy}"
        if limited := self._limit.gate(self.name):
            return self._until(limited[0]), limited[1]
        worst: tuple[State, str] = ("open", "")
        for name in self.needs:
            state = self._upstreams.state(name)
            if state == "open":
                return "closed", self._upstreams.reason(name)
            if state == "half_open":
                worst = ("half_open", self._upstreams.reason(name))
        return worst

    def _until(self, moment: float) -> State:
        return "half_open" if self._clock() >= moment else "closed"


def code_of_problem(setting: str) -> str:
    """Return by what code `worker check` knows what is wrong with a setting; empty: by none."""
    code = code_of(setting)
    return "" if code == EXPLANATIONS[-1].code else code  # that of any other finding


def _log_problem(job: str, problem: Misconfigured) -> None:
    log.error(
        "job_misconfigured",
        job=job,
        setting=problem.setting,
        reason=problem.reason,
        remedy=problem.remedy,
        finding_code=code_of_problem(problem.setting),
    )


def _outcomes(job: str) -> dict[str, int]:
    return {
        outcome: int(count.value)
        for (name, outcome), count in metrics.messages_processed.series()
        if name == job
    }


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
        for reason, job, dead_letters, fingerprint in self.limit.dead_letters()[:SHOWN]:
            yield DeadLetterCause(
                reason=reason,
                job=job,
                fingerprint=fingerprint,
                dead_letters=dead_letters,
                held_back=held.get((reason, job), 0),
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
