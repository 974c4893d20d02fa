"""Which handlers want which event: data, not code."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from worker.domain.result import Result
from worker.events.types import Event

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Job:
    """One event for one handler."""

    handler: str
    event: Event
    run: Callable[[Any], Awaitable[Result]]


class Router:
    """Event class → named handlers."""

    def __init__(self) -> None:
        self._routes: dict[type, list[tuple[str, Callable[[Any], Awaitable[Result]]]]] = {}

    def on(self, kind: type[E], name: str, handler: Callable[[E], Awaitable[Result]]) -> None:
        """Add a route; the signature lets mypy refuse a handler wired to the wrong event."""
        self._routes.setdefault(kind, []).append((name, handler))

    def jobs(self, events: Iterable[Event]) -> list[Job]:
        """Return what is to be run for the events of one message; empty when nobody wants them."""
        return [
            Job(name, event, handler)
            for event in events
            for name, handler in self._routes.get(type(event), ())
        ]

    def names(self) -> list[str]:
        """Return the handlers that have a route."""
        return sorted({name for routes in self._routes.values() for name, _ in routes})
