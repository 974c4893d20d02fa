"""The reference dialect, for gateways and test doubles built to five texts, r0 to r4.

README.md, "The reference dialect", has the table of differences.
"""

from collections.abc import Mapping
from typing import Any

from worker.clients.genesys import data_actions, live, wire
from worker.clients.genesys.data_actions import NotFound
from worker.clients.genesys.wire import Call, Token
from worker.clients.http_types import Reply, Request
from worker.errors import Unavailable, Unreadable


class Reference:
    """Requests and replies as r0 writes them."""

    def __init__(
        self,
        token_path: str = "/api/v2/oauth/token",  # noqa: S107  a path, no secret
        not_found: NotFound = "unknown",
    ) -> None:
        """`token_path`: r1 and r4 have `/oauth/token`. `not_found`: as for the platform."""
        self._token_path = token_path
        self._not_found = not_found

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Client-credentials grant: id and secret in the form body, on the API host."""
        request = Request(
            method="POST",
            path=self._token_path,
            template=self._token_path,
            form={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
            },
        )
        return Call(request, wire.token_of, "login")

    def execute_data_action(
        self, action_id: str, inputs: Mapping[str, str]
    ) -> Call[Mapping[str, Any] | None]:
        """Body: `parameters`. Answer: `status` and `result`; None: no such customer."""
        base = "/api/v2/data/actions"
        request = Request(
            method="POST",
            path=f"{base}/{wire.action_id_in_path(action_id)}/execute",
            template=f"{base}/{{actionId}}/execute",
            json={"parameters": dict(inputs)},
        )
        return Call(request, self._result, data_actions.UPSTREAM)

    def customer_address(self, conversation_id: str) -> Call[str | None]:
        """Address of the live conversation's customer; None when it names none."""
        return live.customer_address(conversation_id)

    def _result(self, reply: Reply) -> Mapping[str, Any] | None:
        if data_actions.knows_nobody(reply, self._not_found):
            return None
        return _result(wire.object_of(reply))


def _result(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if answer.get("status") != "SUCCESS":
        # r0's only example is a failed CRM look-up; `result` is free text and never read.
        raise Unavailable("genesys: data action did not succeed")
    result = answer.get("result")
    if not result:
        return None
    if not isinstance(result, dict):
        raise Unreadable("genesys: data action result is not an object")
    return result
