"""Which handlers want which event: data, not code."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from worker.domain.result import Result
from worker.events.types import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Route:
    """One handler, as it is wired."""

    handler: str
    run: Callable[[Any], Awaitable[Result]]
    needs: frozenset[str]
    """Upstreams without which it cannot succeed: what they block waits for them."""

    may_miss: frozenset[str]
    """Those of its needs that remembered answers can stand in for: messages are still received."""

    deadline_seconds: float | None
    """Longest run; None leaves it to HANDLER_DEADLINE_SECONDS."""


@dataclass(frozen=True, slots=True)
class Job:
    """One event for one handler."""

    event: Event
    route: Route


class Router:
    """Event class → named handlers."""

    def __init__(self) -> None:
        self._routes: dict[type, list[Route]] = {}

    def on(
        self,
        kind: type[E],
        name: str,
        handler: Callable[[E], Awaitable[Result]],
        *,
        needs: Iterable[str] = (),
        may_miss: Iterable[str] = (),
        deadline_seconds: float | None = None,
    ) -> None:
        """Add a route; the signature lets mypy refuse a handler wired to the wrong event."""
        route = Route(name, handler, frozenset(needs), frozenset(may_miss), deadline_seconds)
        self._routes.setdefault(kind, []).append(route)

    def all(self) -> list[Route]:
        """Return every route."""
        return [route for routes in self._routes.values() for route in routes]

    def jobs(self, events: Iterable[Event]) -> list[Job]:
        """Return what is to be run for the events of one message; empty when nobody wants them."""
        return [
            Job(event, route) for event in events for route in self._routes.get(type(event), ())
        ]
