"""Genesys Cloud as jobs use it: one client, its verbs, and what bounds them."""

from collections.abc import Callable
from dataclasses import dataclass

from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import ConversationDetails, LiveConversations
from worker.clients.genesys.dialects import Dialect
from worker.clients.genesys.participants import Attributes
from worker.clients.genesys.speech import ChatSentiment
from worker.clients.genesys.wire import LOGIN, Call
from worker.errors import Misconfigured, Permanent, WorkerError
from worker.findings import Finding, fail
from worker.resilience.limiter import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesysClients:
    """The client, and what /status and readiness ask about it."""

    api: Api
    dialect: Dialect
    actions: Actions
    conversations: LiveConversations
    attributes: Attributes
    details: ConversationDetails
    """By id, many in one request: shared, so that two handlers of a chat ask once."""

    sentiment: ChatSentiment
    tokens: Tokens
    limiter: Limiter

    async def finding_of(
        self, name: str, setting: str, call: Callable[[], Call[Finding]]
    ) -> list[Finding]:
        """Read something for `worker check`; return what it shows, or why it failed.

        `name`: of the finding. `setting`: where the id that is asked for comes from. `call`: raises
        Permanent for one that fits no path. Without a token nothing: that is a finding of its own.
        """
        try:
            return [await self.api.run(call())]
        except WorkerError as error:
            if error.upstream == LOGIN:
                return []
            remedy = "check GENESYS_API_URL and the network to the API host"
            if isinstance(error, Permanent | Misconfigured):
                remedy = f"check {setting}"
            return [fail(name, str(error), remedy)]
