"""Judges whether any message could be handled now."""

from collections.abc import Callable

from worker.app.guards import Guards
from worker.app.ledger import LEDGER
from worker.intake.park_limit import ParkLimit
from worker.intake.router import Route
from worker.intake.valve import FLOW, Verdict
from worker.resilience.breaker import State

WORST_FIRST: tuple[State, ...] = ("open", "half_open", "closed")


class OutageJudge:
    """Shut while every handler is blocked; one that is free lets everything flow.

    A message of a blocked type then waits by its own backoff: which type the next message is of,
    only its receive could tell.
    """

    def __init__(
        self,
        routes: list[Route],
        guards: Guards,
        park_limit: ParkLimit,
        credentials: Callable[[], str | None],
    ) -> None:
        """`credentials`: what is wrong with them, if anything."""
        self._routes = routes
        self._guards = guards
        self._park_limit = park_limit
        self._credentials = credentials

    def __call__(self) -> Verdict:
        """Return the verdict that holds now."""
        if problem := self._credentials():
            return Verdict("shut", problem)
        if self._park_limit.reached:
            return Verdict("shut", "too many messages had to be parked: is the last deploy well?")
        states = {self._state(route) for route in self._routes}
        if "closed" in states or not states:
            return FLOW
        why = f"breaker open: {', '.join(self._guards.open_breakers()) or 'half-open'}"
        return Verdict("probe" if "half_open" in states else "shut", why)

    def _state(self, route: Route) -> State:
        states = {self._guards.state(upstream) for upstream in (*route.needs, LEDGER)}
        return next((state for state in WORST_FIRST if state in states), "closed")
