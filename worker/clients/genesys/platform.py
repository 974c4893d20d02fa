"""The dialect of the real Genesys Cloud Platform API; README.md has the facts and sources."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from worker.clients.genesys import data_actions, live, wire
from worker.clients.genesys.data_actions import NotFound
from worker.clients.genesys.wire import Call, Token
from worker.clients.http_types import Reply, Request


class Platform:
    """Requests and replies as PureCloudPlatformClientV2 has them."""

    def __init__(
        self,
        token_path: str = "/oauth/token",  # noqa: S107  a path, no secret
        not_found: NotFound = "unknown",
    ) -> None:
        """`not_found`: what a 404 of the system behind a data action means."""
        self._token_path = token_path
        self._not_found = not_found

    def token(self, client_id: str, client_secret: str) -> Call[Token]:
        """Client-credentials grant: Basic header, form body, on the login host."""
        pair = f"{client_id}:{client_secret}"
        request = Request(
            method="POST",
            path=self._token_path,
            template=self._token_path,
            form={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {b64encode(pair.encode()).decode()}"},
        )
        return Call(request, wire.token_of, "login")

    def execute_data_action(
        self, action_id: str, inputs: Mapping[str, str]
    ) -> Call[Mapping[str, Any] | None]:
        """Body: the inputs themselves. Answer: the output itself; None: no such customer."""
        base = "/api/v2/integrations/actions"
        request = Request(
            method="POST",
            path=f"{base}/{wire.action_id_in_path(action_id)}/execute",
            template=f"{base}/{{actionId}}/execute",
            json=dict(inputs),
        )
        return Call(request, self._output, data_actions.UPSTREAM)

    def customer_address(self, conversation_id: str) -> Call[str | None]:
        """Address of the live conversation's customer; None when it names none."""
        return live.customer_address(conversation_id)

    def _output(self, reply: Reply) -> Mapping[str, Any] | None:
        if data_actions.knows_nobody(reply, self._not_found):
            return None
        return wire.object_of(reply) or None
