"""Builds the Genesys client: token host, API host, budget, guards, dialect."""

from dataclasses import dataclass

from worker.app.upstreams import LOGIN
from worker.app.workshop import Workshop
from worker.clients.genesys.api import Api
from worker.clients.genesys.attribute_calls import attribute_dialect_of
from worker.clients.genesys.attributes import FLOW_CACHE, Attributes
from worker.clients.genesys.calls import Genesys
from worker.clients.genesys.conversations import Batching, ConversationDetails
from worker.clients.genesys.details_by_id import PlatformDetails, ReferenceDetails
from worker.clients.genesys.dialect import api_url, dialect_of, login_url
from worker.clients.genesys.token import Tokens
from worker.clients.http import HttpClient, HttpLimits
from worker.domain.attributes.schema import Schema
from worker.resilience.cache import Cache
from worker.resilience.limiter import Limiter
from worker.settings import Genesys as GenesysSettings


@dataclass(frozen=True, slots=True)
class GenesysParts:
    """The client, and what /status and readiness ask about it."""

    api: Api
    client: Genesys
    attributes: Attributes
    details: ConversationDetails
    """By id, many in one request: shared, so that two handlers of a chat ask once."""

    tokens: Tokens
    limiter: Limiter


async def build_genesys(workshop: Workshop, *more: str) -> GenesysParts:
    """Open the Genesys client. Its credentials are set: each handler that wants it needs them.

    `more`: parts of the API that no handler calls, and a command does.
    """
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
    api = Api(http, tokens, upstreams.genesys(settings, limiter, *more), limiter)
    flows: Cache[str, Schema] = Cache("flows", FLOW_CACHE, random=workshop.random)
    attributes = Attributes(api, attribute_dialect_of(settings.dialect), flows)
    details = _details(settings, workshop.settings.workflow.batch_milliseconds, api)
    workshop.stack.push_async_callback(details.aclose)
    client = Genesys(api, dialect, actions_repeatable=settings.action_repeatable)
    return GenesysParts(api, client, attributes, details, tokens, limiter)


def _details(settings: GenesysSettings, batch_milliseconds: int, api: Api) -> ConversationDetails:
    dialect = ReferenceDetails() if settings.dialect == "reference" else PlatformDetails()
    batching = Batching.within(settings.requests_per_minute, wait_seconds=batch_milliseconds / 1000)
    return ConversationDetails(api, dialect, batching)
