"""Genesys Cloud as jobs use it: one client, its verbs, and what bounds them."""

from dataclasses import dataclass

from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import ConversationDetails
from worker.clients.genesys.dialects import Dialect
from worker.clients.genesys.live import LiveConversations
from worker.clients.genesys.participants import Attributes
from worker.clients.genesys.speech import ChatSentiment
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
