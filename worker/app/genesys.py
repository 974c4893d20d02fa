"""Builds the Genesys client: token host, API host, budget, guards, dialect."""

from contextlib import AsyncExitStack
from random import Random

from worker.app.upstreams import LOGIN, Upstreams
from worker.clients.genesys.api import Api
from worker.clients.genesys.attribute_calls import attribute_dialect_of
from worker.clients.genesys.attributes import FLOW_CACHE, Attributes
from worker.clients.genesys.calls import Genesys
from worker.clients.genesys.conversations import Batching, ConversationDetails
from worker.clients.genesys.details_by_id import PlatformDetails, ReferenceDetails
from worker.clients.genesys.dialect import api_url, dialect_of, login_url
from worker.clients.genesys.flow_schema import Schema
from worker.clients.genesys.parts import GenesysParts
from worker.clients.genesys.sentiment import ChatSentiment, QuerySentiment, TranscriptSentiment
from worker.clients.genesys.token import Tokens
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.transcripts import Transcripts
from worker.resilience.cache import Cache
from worker.settings import Genesys as GenesysSettings
from worker.settings import Settings

TRANSCRIPT_SECONDS = 10
TRANSCRIPT_ATTEMPTS = 2
TRANSCRIPT_DEADLINE_SECONDS = 20


async def build_genesys(
    all_settings: Settings, upstreams: Upstreams, stack: AsyncExitStack, random: Random
) -> GenesysParts:
    """Open the Genesys client. Its credentials are set: each job that wants it needs them."""
    settings = all_settings.genesys
    limits = HttpLimits(
        total_seconds=settings.timeout_seconds, connections=all_settings.sqs.concurrency
    )
    login = HttpClient("genesys login", login_url(settings), limits)
    http = HttpClient("genesys", api_url(settings), limits)
    for host in (login, http):
        await stack.enter_async_context(host)
    dialect = dialect_of(settings)
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    tokens = Tokens(
        login,
        dialect.token(settings.client_id or "", secret),
        guard=upstreams.login(settings),
        pause_cap_seconds=all_settings.retry.after_cap_seconds,
    )
    upstreams.watch_problem(LOGIN, lambda: tokens.refusal, tokens)
    stack.push_async_callback(tokens.aclose)
    limiter = upstreams.limiter(settings)
    api = Api(http, tokens, upstreams.genesys(settings, limiter), limiter)
    flows: Cache[str, Schema] = Cache("flows", FLOW_CACHE, random=random)
    attributes = Attributes(api, attribute_dialect_of(settings.dialect), flows)
    details = _details(settings, all_settings.lookups.batch_milliseconds, api)
    stack.push_async_callback(details.aclose)
    client = Genesys(api, dialect, actions_repeatable=settings.action_repeatable)
    sentiment = _sentiment(settings, api, details, upstreams, stack)
    return GenesysParts(
        api, client, attributes, details, sentiment, tokens, limiter, settings.dialect
    )


def _sentiment(
    settings: GenesysSettings,
    api: Api,
    details: ConversationDetails,
    upstreams: Upstreams,
    stack: AsyncExitStack,
) -> ChatSentiment:
    guard = upstreams.http("transcripts", TRANSCRIPT_ATTEMPTS, TRANSCRIPT_DEADLINE_SECONDS)
    if settings.dialect == "reference":
        return QuerySentiment(api)
    transcripts = Transcripts(guard, HttpLimits(total_seconds=TRANSCRIPT_SECONDS))
    stack.push_async_callback(transcripts.aclose)
    return TranscriptSentiment(api, details, transcripts)


def _details(settings: GenesysSettings, batch_milliseconds: int, api: Api) -> ConversationDetails:
    dialect = ReferenceDetails() if settings.dialect == "reference" else PlatformDetails()
    batching = Batching.within(settings.requests_per_minute, wait_seconds=batch_milliseconds / 1000)
    return ConversationDetails(api, dialect, batching)
