"""Builds the Genesys client: token host, API host, budget, guards, dialect."""

from dataclasses import dataclass

from worker.app.upstreams import LOGIN
from worker.app.workshop import Workshop
from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Batching, ConversationDetails, LiveConversations
from worker.clients.genesys.dialects import Dialect, api_url, dialect_of, login_url
from worker.clients.genesys.flows import FLOW_CACHE, Schema
from worker.clients.genesys.participants import Attributes
from worker.clients.http import HttpClient, HttpLimits
from worker.resilience.cache import Cache
from worker.resilience.limiter import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesysParts:
    """The client, and what /status and readiness ask about it."""

    api: Api
    dialect: Dialect
    actions: Actions
    conversations: LiveConversations
    attributes: Attributes
    details: ConversationDetails
    """By id, many in one request: shared, so that two handlers of a chat ask once."""

    tokens: Tokens
    limiter: Limiter


async def build_genesys(workshop: Workshop) -> GenesysParts:
    """Open the Genesys client. Its credentials are set: each handler that wants it needs them."""
    settings = workshop.settings.genesys
    limits = HttpLimits(
        total_seconds=settings.timeout_seconds, connections=workshop.settings.sqs.concurrency
    )
    login = HttpClient("genesys login", login_url(settings), limits)
    http = HttpClient("genesys", api_url(settings), limits)
    for host in (login, http):
        await workshop.stack.enter_async_context(host)
    dialect = dialect_of(settings)
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    upstreams = workshop.upstreams
    tokens = Tokens(
        login,
        dialect.token(settings.client_id or "", secret),
        guard=upstreams.login(settings),
        pause_cap_seconds=workshop.settings.retry.after_cap_seconds,
    )
    upstreams.watch_problem(LOGIN, lambda: tokens.refusal, tokens)
    workshop.stack.push_async_callback(tokens.aclose)
    limiter = upstreams.limiter(settings)
    api = Api(http, tokens, upstreams.genesys(settings, limiter), limiter)
    flows: Cache[str, Schema] = Cache("flows", FLOW_CACHE, random=workshop.random)
    batching = Batching.within(
        settings.requests_per_minute,
        wait_seconds=workshop.settings.workflow.batch_milliseconds / 1000,
    )
    details = ConversationDetails(api, dialect.details, batching)
    workshop.stack.push_async_callback(details.aclose)
    return GenesysParts(
        api=api,
        dialect=dialect,
        actions=Actions(api, dialect, repeatable=settings.action_repeatable),
        conversations=LiveConversations(api),
        attributes=Attributes(api, dialect.attributes, flows),
        details=details,
        tokens=tokens,
        limiter=limiter,
    )
