"""The scenarios by name."""

from collections.abc import Awaitable, Callable

from tests.isolation.proof import Proof
from tests.isolation.scenarios import (
    bad_messages,
    bindings,
    budget,
    causes,
    customers,
    data_action,
    fleet,
    refusals,
    reports,
    restarts,
    sinks,
    starts_and_ends,
    without,
)
from tests.isolation.sizes import Size

Play = Callable[[Size], Awaitable[Proof]]

SCENARIOS: dict[str, Play] = {
    **data_action.PLAYS,
    **bad_messages.PLAYS,
    **reports.PLAYS,
    **causes.PLAYS,
    **restarts.PLAYS,
    **budget.PLAYS,
    **fleet.PLAYS,
    **customers.PLAYS,
    **sinks.PLAYS,
    **refusals.PLAYS,
    **starts_and_ends.PLAYS,
    **without.PLAYS,
    **bindings.PLAYS,
}
"""One job's trouble first, then start, stop, logs and status."""
