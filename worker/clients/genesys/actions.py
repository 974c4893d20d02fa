"""Data actions: how one is run, and what its errors mean (README.md, "Data actions")."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Misconfigured, NotYet, Unavailable, Unreadable
from worker.resilience.work import waiting_for

NO_CUSTOMER = "no.results"
"""ErrorBody code of a data action that found nothing: an answer, not a failure."""

OTHER_INPUTS = "invalid.schema"
"""That of one whose contract the inputs do not fit."""

NOT_FOUND = {404, 410}
_UNSAFE_IN_ID = re.compile(r"[/?#%\\\x00-\x1f\x7f-\x9f]|\.\.")
PLATFORM = "/api/v2/integrations/actions"

CONCURRENCY = 15
"""Half of what Genesys' own example of the organization's limit has; flows use it up, too."""

NotFound = Literal["unknown", "retry"]
"""What a 404 of the system behind a data action means."""

T = TypeVar("T")

Output = Mapping[str, Any]


def knows_no_customer(reply: Reply, not_found: NotFound) -> bool:
    """Return whether the answer is that the customer does not exist.

    A 404 of the system behind the action is one with `unknown`, and NotYet with `retry`; a 404 of
    Genesys itself says that the action does not exist, which is Misconfigured, as are inputs that
    the action does not take.
    """
    if reply.status != 400 and reply.status not in NOT_FOUND:
        return False
    body = wire.error_body_of(reply)
    text = f"genesys: {reply.status} {body.code or '-'} {body.correlation_id or '-'}"
    if reply.status == 400 and body.code == OTHER_INPUTS and body.action is None:
        raise Misconfigured(
            f"{text}: the data action does not take these inputs",
            setting="VOICE_INPUT_FIELD",
            remedy="set VOICE_INPUT_FIELD to the name of the input in the data action's contract",
        )
    if reply.status == 400:
        return body.code == NO_CUSTOMER
    if body.action is None:
        raise Misconfigured(
            f"{text}: the data action does not exist",
            setting="GENESYS_ACTION_ID",
            remedy="set GENESYS_ACTION_ID to the id of a published data action",
        )
    if not_found == "retry":
        raise NotYet("genesys: the system behind the data action knows no such customer")
    return True


class ActionDialect(Protocol):
    """How a data action is run; Misconfigured for an id that fits no path."""

    def execute_data_action(self, action_id: str, inputs: Mapping[str, str]) -> Call[Output | None]:
        """Run a data action; None: no such customer."""


class Actions:
    """Runs data actions. Raises the error tree of `worker.errors`, and nothing else."""

    def __init__(
        self,
        api: Api,
        dialect: ActionDialect,
        *,
        repeatable: bool = True,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """`repeatable`: False for data actions that write: no call is made twice.

        A message that comes back is another call. `concurrency`: data actions under way at once.
        """
        self._api = api
        self._dialect = dialect
        self._repeatable = repeatable
        self._places = asyncio.Semaphore(concurrency)

    async def execute_data_action(self, action_id: str, inputs: Mapping[str, str]) -> Output | None:
        """Return the data action's output; None when it knows no such customer."""
        call = self._dialect.execute_data_action(action_id, inputs)
        await self._place()
        try:
            return await self._api.run(call, repeatable=self._repeatable)
        finally:
            self._places.release()

    async def _place(self) -> None:
        """Acquire one of the places; no deadline runs while it is waited for."""
        if self._places.locked():
            with waiting_for("data actions", asyncio.get_running_loop().time):
                await self._places.acquire()
        else:
            await self._places.acquire()

    def lookup(self, action_id: str, read: Callable[[Reply], T]) -> Call[T]:
        """Return the read of the data action itself, which only `worker check` makes."""
        return read_of_action(action_id, read)


def platform_execution(
    action_id: str, inputs: Mapping[str, str], not_found: NotFound
) -> Call[Output | None]:
    """Body: the inputs themselves. Answer: the output itself; None: no such customer."""

    def read(reply: Reply) -> Output | None:
        if knows_no_customer(reply, not_found):
            return None
        return wire.object_of(reply) or None

    request = _execution(PLATFORM, action_id, dict(inputs))
    return Call(request, read, wire.DATA_ACTION)


def reference_execution(
    action_id: str, inputs: Mapping[str, str], not_found: NotFound
) -> Call[Output | None]:
    """Body: `parameters`. Answer: `status` and `result`; None: no such customer."""

    def read(reply: Reply) -> Output | None:
        if knows_no_customer(reply, not_found):
            return None
        return _result(wire.object_of(reply))

    request = _execution("/api/v2/data/actions", action_id, {"parameters": dict(inputs)})
    return wire.taking("data:actions:execute", Call(request, read, wire.DATA_ACTION))


def read_of_action(action_id: str, read: Callable[[Reply], T]) -> Call[T]:
    """Return the read of a data action itself, which only `worker check` makes."""
    path = f"{PLATFORM}/{action_id_in_path(action_id)}"
    request = Request(method="GET", path=path, template=f"{PLATFORM}/{{actionId}}")
    return Call(request, read, wire.DATA_ACTION)


def action_id_in_path(action_id: str) -> str:
    """Return a data action's id quoted for a path, e.g. `custom_-_<uuid>`.

    Raises Misconfigured for what could leave its place in the path: clients undo quoted dots.
    """
    if action_id in {"", "."} or _UNSAFE_IN_ID.search(action_id):
        raise Misconfigured(
            "data action id cannot be part of a path",
            setting="GENESYS_ACTION_ID",
            remedy="set GENESYS_ACTION_ID to the id of a published data action",
        )
    return quote(action_id, safe="")


def _execution(base: str, action_id: str, body: Mapping[str, Any]) -> Request:
    return Request(
        method="POST",
        path=f"{base}/{action_id_in_path(action_id)}/execute",
        template=f"{base}/{{actionId}}/execute",
        json=body,
    )


def _result(answer: Mapping[str, Any]) -> Output | None:
    if answer.get("status") != "SUCCESS":
        # r0's only example is a failed CRM look-up; `result` is free text and never read.
        raise Unavailable("genesys: data action did not succeed")
    result = answer.get("result")
    if not result:
        return None
    if not isinstance(result, dict):
        raise Unreadable("genesys: data action result is not an object")
    return result
