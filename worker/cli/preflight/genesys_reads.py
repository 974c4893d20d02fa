"""What is read from Genesys, and what the replies mean to the person who set this up. Pure.

Sources: GENESYS sheet sections 4 and 7, and the official SDK for the paths.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.clients.genesys.dialects import Dialect, dialect_of
from worker.clients.genesys.flows import NO_SUCH_FLOW, Schema
from worker.clients.genesys.wire import Call, action_id_in_path, object_of
from worker.clients.http_types import Reply, Request
from worker.settings import Settings

ORGANIZATION, ACTION, FLOW = "Genesys organization", "Genesys data action", "Genesys flow"
"""Names of the rows."""

WHO_AM_I = "/api/v2/tokens/me"
ACTIONS = "/api/v2/integrations/actions"
NO_SUCH_ACTION = {404, 410}


@dataclass(frozen=True, slots=True)
class Read:
    """One GET, which tells one row."""

    name: str
    setting: str
    """Where the id that is asked for comes from."""

    call: Callable[[], Call[Row]]
    """Raises Permanent for an id that fits no path."""


def reads_of(settings: Settings) -> Iterator[Read]:
    """Yield what there is to read under these settings; the reference texts know flows only."""
    genesys, on = settings.genesys, settings.enabled_handlers()
    dialect = dialect_of(genesys)
    if "lookups" in dialect.features:
        yield Read(ORGANIZATION, "GENESYS_ENVIRONMENT", organization)
    if "lookups" in dialect.features and "voice" in on:
        yield Read(ACTION, "GENESYS_ACTION_ID", partial(action, genesys.action_id or ""))
    if "attributes" in on:
        call = partial(flow, dialect, genesys.flow_id or "")
        yield Read(FLOW, "GENESYS_FLOW_ID", call)


def organization() -> Call[Row]:
    """Ask whose the token is."""
    return Call(Request(method="GET", path=WHO_AM_I, template=WHO_AM_I), _organization)


def action(action_id: str) -> Call[Row]:
    """Ask for the data action itself, which the worker never does: it only runs it."""
    path = f"{ACTIONS}/{action_id_in_path(action_id)}"
    return Call(Request(method="GET", path=path, template=f"{ACTIONS}/{{actionId}}"), _action)


def flow(dialect: Dialect, flow_id: str) -> Call[Row]:
    """Ask for the flow's inputs, as the worker does."""
    call = dialect.attributes.flow_inputs(flow_id)
    return Call(call.request, partial(_flow, call))


def _organization(reply: Reply) -> Row:
    if reply.status != 200:
        found = f"{WHO_AM_I} answered {reply.status}"
        return warn(ORGANIZATION, found, "check the region and the client")
    told = object_of(reply).get("organization") or {}
    return ok(ORGANIZATION, f"{told.get('name', '?')} ({told.get('id', '?')})")


def _action(reply: Reply) -> Row:
    if reply.status in NO_SUCH_ACTION:
        return fail(ACTION, "there is no such data action", "check GENESYS_ACTION_ID")
    if reply.status == 403:
        remedy = "none, if it is there; to see it, the client needs integrations:action:view"
        return warn(ACTION, "cannot be looked up: 403", remedy)
    if reply.status != 200:
        # The worker can do without this very read.
        return warn(ACTION, f"cannot be looked up: {reply.status}", "try again")
    return ok(ACTION, "is there; not run")


def _flow(call: Call[Schema | None], reply: Reply) -> Row:
    if reply.status in NO_SUCH_FLOW:
        return fail(FLOW, "there is no such flow", "check GENESYS_FLOW_ID")
    if reply.status == 403:
        return fail(FLOW, "may not be read: 403", "give the client's role architect:flow:view")
    inputs = call.read(reply)
    if inputs is None:
        return fail(
            FLOW, "no version with inputs is published", "publish it, or check GENESYS_FLOW_ID"
        )
    return ok(FLOW, f"is there, with {len(inputs)} inputs")
