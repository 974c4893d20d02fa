"""Which jobs want which event, on which queue, and what becomes of what none wants.

A type of a job that is set up by half is not unknown: to delete its events would lose them to a
misspelt setting. On a queue of its own a type of another job means that the bindings were swapped.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from msgspec import Struct

from worker.errors import Permanent
from worker.events import ForJob, Origin, Proof, Result, UnknownType
from worker.intake.outcome import DONE, DeadLetter, Outcome, failure_of, outcome_of
from worker.telemetry import metrics


class Source(Struct, frozen=True):
    """One queue."""

    name: str
    url: str
    jobs: frozenset[str]
    """The jobs bound to it: of an unbound queue all that are on."""

    bound: bool
    age_seconds: Callable[[float], float]
    """Age of a message by SQS's own clock, from its `SentTimestamp` in seconds."""


class Route(Struct, frozen=True, kw_only=True):
    """One job, as it is wired."""

    job: str
    run: Callable[[Any], Awaitable[Result]]
    needs: frozenset[str] = frozenset()
    """Upstreams without which it cannot succeed: its messages wait for them."""

    may_miss: frozenset[str] = frozenset()
    """Upstreams whose answers may be missing or remembered: they hold nothing back."""

    deadline_seconds: float | None = None
    """Longest run; None leaves it to HANDLER_DEADLINE_SECONDS."""

    age_limit_seconds: float | None = None
    """Age of an event from which a wait for the request budget is too long."""

    degrade_after_seconds: float | None = None
    """Age of an event from which it goes without what it may miss; None: it waits."""

    proof: Proof = "store"


Routes = Mapping[str, Route]
"""By job."""


log = structlog.get_logger(__name__)

QUIET_SECONDS = 60
REMEMBERED = 1000


class Unrouted:
    """What becomes of them, by type."""

    def __init__(
        self,
        *,
        dead_letter: bool,
        jobs_of_type: Callable[[str], frozenset[str]],
        half_configured: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        """`dead_letter`: unknown types are dead-lettered.

        `half_configured`: the reason of each job that lacks a setting.
        """
        self._dead_letter = dead_letter
        self._jobs_of_type = jobs_of_type
        self._half_configured = half_configured
        self.finds_half_configured = bool(half_configured)
        """Whether there are jobs set up by half."""

        self._clock = clock
        self._logged: OrderedDict[str, float] = OrderedDict()

    def outcome(self, detail_type: str, source: Source) -> Outcome:
        """Return what becomes of a message of which no event is for a job of its queue."""
        jobs = self._jobs_of_type(detail_type)
        if jobs & source.jobs:  # of the right type, and not for them by its content
            return DONE
        if jobs and source.bound:
            reason = f"detail-type {detail_type[:100]} is of job {', '.join(sorted(jobs))}"
            bound = ", ".join(sorted(source.jobs))
            return _dead_letter(f"{reason}; queue {source.name} is bound to {bound}", "WrongQueue")
        self._count(detail_type)
        if self._dead_letter:
            return _dead_letter(f"detail-type: no job wants {detail_type[:100]}", "Permanent")
        return DONE

    def half_configured(self, events: Iterable[ForJob], source: Source) -> DeadLetter | None:
        """Return the dead letter of a message that a job would want which lacks a setting."""
        if not source.bound:
            for one in events:
                if reason := self._half_configured.get(one.job):
                    return _dead_letter(reason, "HalfConfigured")
        return None

    def _count(self, detail_type: str) -> None:
        """Count one, and log its type unless that was done within the last minute."""
        metrics.messages_unrouted.inc()
        now = self._clock()
        if now - self._logged.get(detail_type, float("-inf")) < QUIET_SECONDS:
            return
        self._logged[detail_type] = now
        self._logged.move_to_end(detail_type)
        if len(self._logged) > REMEMBERED:
            self._logged.popitem(last=False)
        log.warning("event_unrouted", detail_type=detail_type)


def _dead_letter(reason: str, error_class: str) -> DeadLetter:
    return DeadLetter(failure_of(reason, error_class=error_class, cause=reason))


Events = tuple[ForJob, ...] | UnknownType


class Reading(Struct, frozen=True):
    """How a body becomes events, and what becomes of those that no job wants."""

    parse: Callable[[str], Any]
    """From a body to what `events` takes; raises Permanent."""

    events: Callable[[Any], Events]
    """Never an empty tuple; raises Permanent."""

    unrouted: Unrouted


class About(Struct, frozen=True, gc=False):
    """What a message that was opened is called in logs; small, for it may be in flight for long."""

    origin: Origin
    conversation_id: str | None
    jobs: tuple[str, ...]
    """The jobs that want it."""


class Opened(Struct, frozen=True, gc=False):
    """The events of a message, by what they mean to the jobs of its queue."""

    about: About
    wanted: tuple[ForJob, ...]
    lacking: DeadLetter | None
    """For a job that would want it, too, and lacks a setting."""


class Opener:
    """From the body of a message to what is run for it."""

    def __init__(self, routes: Routes, reading: Reading) -> None:
        self._routes = routes
        self._reading = reading

    def __call__(self, body: str, source: Source) -> Opened | Outcome:
        """Open one message; its outcome when it cannot be read, or is of a type of no job."""
        try:
            events = self._reading.events(self._reading.parse(body))
        except Permanent as error:
            return outcome_of(error)
        if isinstance(events, UnknownType):
            return self._reading.unrouted.outcome(events.detail_type, source)
        return self._opened(events, source)

    def ahead(self, bodies: Sequence[str], source: Source) -> list[Opened | None]:
        """Open messages together, each step for all of them; None for what is to be opened alone.

        That is a type of no job, which is logged by its message; and all of them when one cannot
        be opened. One by one, everything that reads an event leaves the processor's caches between
        two of them: a sixth more CPU time for a message in all.
        """
        parse, read = self._reading.parse, self._reading.events
        try:
            envelopes = [parse(body) for body in bodies]
            events = [read(envelope) for envelope in envelopes]
            return [self._opened(x, source) if isinstance(x, tuple) else None for x in events]
        except Exception:  # noqa: BLE001  opened alone it raises again, where that is handled
            return [None] * len(bodies)

    def unwanted(self, opened: Opened, source: Source) -> Outcome:
        """Return what becomes of a message that no job of its queue wants."""
        detail_type = opened.about.origin.detail_type
        return opened.lacking or self._reading.unrouted.outcome(detail_type, source)

    def _opened(self, events: tuple[ForJob, ...], source: Source) -> Opened:
        unrouted = self._reading.unrouted
        find = unrouted.finds_half_configured
        lacking = unrouted.half_configured(events, source) if find else None
        wanted: tuple[ForJob, ...] = ()
        jobs: tuple[str, ...] = ()
        for one in events:  # two comprehensions were a hundredth of a message's cost
            job = one.job
            if job in source.jobs and job in self._routes:
                wanted += (one,)
                jobs += (job,)
        first = events[0].event
        return Opened(About(first.origin, first.conversation_id, jobs), wanted, lacking)
