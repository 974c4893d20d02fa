"""Genesys Cloud as jobs use it: one client, its verbs, and what bounds them."""

from dataclasses import dataclass

from worker.clients.genesys.api import Api
from worker.clients.genesys.attributes import Attributes
from worker.clients.genesys.calls import Genesys
from worker.clients.genesys.conversations import ConversationDetails
from worker.clients.genesys.sentiment import ChatSentiment
from worker.clients.genesys.token import Tokens
from worker.resilience.limiter import Limiter


@dataclass(frozen=True, slots=True)
class GenesysParts:
    """The client, and what /status and readiness ask about it."""

    api: Api
    client: Genesys
    attributes: Attributes
    details: ConversationDetails
    """By id, many in one request: shared, so that two handlers of a chat ask once."""

    sentiment: ChatSentiment
    tokens: Tokens
    limiter: Limiter
    dialect: str
    """`platform` or `reference`."""
