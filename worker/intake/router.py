"""Which jobs want which event: data, not code."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.events.origin import Event
from worker.events.reading import ForJob
from worker.events.result import Result
from worker.intake.idempotency import Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
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
    """Age of an event from which a wait for the request budget is in vain."""

    degrade_after_seconds: float | None = None
    """Age of an event from which it goes without what it may miss; None: it waits."""

    proof: Proof = "store"


Routes = Mapping[str, Route]
"""By job."""


@dataclass(frozen=True, slots=True)
class Routed:
    """One event for one job."""

    event: Event
    route: Route


def routed(routes: Routes, events: Iterable[ForJob], jobs: frozenset[str]) -> list[Routed]:
    """Return what is to be run for the events of one message, by the jobs of its queue."""
    return [Routed(event, routes[job]) for job, event in events if job in jobs and job in routes]
