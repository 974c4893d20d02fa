"""Which jobs want which event: data, not code."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from worker.events.origin import Event
from worker.events.result import Result
from worker.intake.idempotency import Proof

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Route:
    """One job, as it is wired."""

    job: str
    run: Callable[[Any], Awaitable[Result]]
    needs: frozenset[str]
    """Upstreams without which it cannot succeed: its messages wait for them."""

    may_miss: frozenset[str]
    """Upstreams whose answers may be missing or remembered: they hold nothing back."""

    deadline_seconds: float | None
    """Longest run; None leaves it to HANDLER_DEADLINE_SECONDS."""

    age_limit_seconds: float | None
    """Age of an event from which a wait for the request budget is in vain."""

    degrade_after_seconds: float | None
    """Age of an event from which it goes without what it may miss; None: it waits."""

    proof: Proof


@dataclass(frozen=True, slots=True)
class Routed:
    """One event for one job."""

    event: Event
    route: Route


class Router:
    """Event class → jobs."""

    def __init__(self) -> None:
        self._routes: dict[type, list[Route]] = {}

    def on(  # noqa: PLR0913  a row of a table, its columns named
        self,
        kind: type[E],
        name: str,
        handler: Callable[[E], Awaitable[Result]],
        *,
        needs: Iterable[str] = (),
        may_miss: Iterable[str] = (),
        deadline_seconds: float | None = None,
        age_limit_seconds: float | None = None,
        degrade_after_seconds: float | None = None,
        proof: Proof = "store",
    ) -> None:
        """Add a route; the signature lets mypy refuse a handler wired to the wrong event."""
        route = Route(
            name,
            handler,
            frozenset(needs),
            frozenset(may_miss),
            deadline_seconds,
            age_limit_seconds,
            degrade_after_seconds,
            proof,
        )
        self._routes.setdefault(kind, []).append(route)

    def all(self) -> list[Route]:
        """Return every route."""
        return [route for routes in self._routes.values() for route in routes]

    def routed(self, events: Iterable[Event], jobs: frozenset[str]) -> list[Routed]:
        """Return what is to be run for the events of one message, by the jobs of its queue."""
        return [
            Routed(event, route)
            for event in events
            for route in self._routes.get(type(event), ())
            if route.job in jobs
        ]
