"""Judges whether any message could be handled now."""

from collections.abc import Callable, Iterable

from worker.app.guards import Guards
from worker.app.ledger import LEDGER
from worker.intake.park_limit import ParkLimit
from worker.intake.router import Route
from worker.intake.valve import FLOW, Verdict
from worker.resilience.breaker import State


class OutageJudge:
    """Shut while every handler is blocked; one that is free lets everything flow.

    Which type the next message is of, only its receive could tell: those of a blocked type then
    wait in the waiting room.
    """

    def __init__(
        self,
        routes: list[Route],
        guards: Guards,
        park_limit: ParkLimit,
        credentials: Callable[[], str | None],
    ) -> None:
        """`credentials`: what is wrong with them, if anything."""
        self._needs = _by_handler((route.handler, route.needs) for route in routes)
        self._holds = _by_handler((one.handler, one.needs - one.may_miss) for one in routes)
        """Needs for which nothing stands in: without them no message of a handler can be done."""

        self._guards = guards
        self._park_limit = park_limit
        self._credentials = credentials

    def __call__(self) -> Verdict:
        """Return the verdict that holds now."""
        if problem := self._credentials():
            return Verdict("shut", problem)
        if self._park_limit.reached:
            return Verdict("shut", "too many messages had to be parked: is the last deploy well?")
        states = set()
        for holds in self._holds.values():
            if (state := self._worst(holds)) == "closed":  # as mostly, at the first look
                return FLOW
            states.add(state)
        if not states:
            return FLOW
        why = f"breaker open: {', '.join(self._guards.open_breakers()) or 'half-open'}"
        return Verdict("probe" if "half_open" in states else "shut", why)

    def state_of(self, handler: str) -> State:
        """Return the worst state among the breakers that a handler needs closed."""
        return self._worst(self._needs[handler])

    def _worst(self, upstreams: tuple[str, ...]) -> State:
        worst: State = "closed"
        for upstream in upstreams:
            state = self._guards.state(upstream)
            if state == "open":
                return "open"
            worst = "half_open" if state == "half_open" else worst
        return worst


def _by_handler(upstreams: Iterable[tuple[str, frozenset[str]]]) -> dict[str, tuple[str, ...]]:
    """Join what the routes of each handler ask for, and the ledger, which all of them do."""
    found: dict[str, tuple[str, ...]] = {}
    for handler, some in upstreams:
        found[handler] = (*found.get(handler, (LEDGER,)), *some)
    return found
