"""Builds the Genesys client: token host, API host, budget, guards, dialect."""

from contextlib import AsyncExitStack
from random import Random
from urllib.parse import urlsplit

from worker.app.upstreams import LOGIN, Upstreams
from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Batching, ConversationDetails
from worker.clients.genesys.dialects import Dialect, api_url, dialect_of, login_url
from worker.clients.genesys.flows import FLOW_CACHE, Schema
from worker.clients.genesys.live import LiveConversations
from worker.clients.genesys.participants import Attributes
from worker.clients.genesys.parts import GenesysClients
from worker.clients.genesys.speech import ChatSentiment, QuerySentiment, TranscriptSentiment
from worker.clients.genesys.transcripts import Transcripts
from worker.clients.genesys.wire import Call, Token
from worker.clients.http import HttpClient, HttpLimits
from worker.resilience.cache import Cache
from worker.settings import Genesys, Settings, is_loopback

TRANSCRIPT_SECONDS = 10
TRANSCRIPT_ATTEMPTS = 2
TRANSCRIPT_DEADLINE_SECONDS = 20


async def build_genesys(
    all_settings: Settings,
    upstreams: Upstreams,
    stack: AsyncExitStack,
    random: Random,
    *more: str,
) -> GenesysClients:
    """Open the Genesys client. Its credentials are set: each job that wants it needs them.

    `more`: parts of the API that no job calls, and a command does.
    """
    settings, dialect = all_settings.genesys, dialect_of(all_settings.genesys)
    limits = HttpLimits(
        total_seconds=settings.timeout_seconds, connections=all_settings.sqs.concurrency
    )
    login = await _opened(HttpClient("genesys login", login_url(settings), limits), stack)
    http = await _opened(HttpClient("genesys", api_url(settings), limits), stack)
    tokens = _tokens(all_settings, login, dialect, upstreams, stack)
    limiter = upstreams.limiter(settings)
    api = Api(http, tokens, upstreams.genesys(settings, limiter, *more), limiter)
    flows: Cache[str, Schema] = Cache("flows", FLOW_CACHE, random=random)
    details = _details(all_settings, api, dialect, stack)
    sentiment = _sentiment(settings, api, dialect, details, upstreams, stack)
    return GenesysClients(
        api=api,
        dialect=dialect,
        actions=Actions(
            api,
            dialect,
            repeatable=settings.action_repeatable,
            concurrency=settings.action_concurrency,
        ),
        conversations=LiveConversations(api),
        attributes=Attributes(api, dialect.attributes, flows),
        details=details,
        sentiment=sentiment,
        tokens=tokens,
        limiter=limiter,
    )


async def _opened(host: HttpClient, stack: AsyncExitStack) -> HttpClient:
    return await stack.enter_async_context(host)


def _tokens(
    all_settings: Settings,
    login: HttpClient,
    dialect: Dialect,
    upstreams: Upstreams,
    stack: AsyncExitStack,
) -> Tokens:
    settings = all_settings.genesys

    def request() -> Call[Token]:
        secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
        return dialect.token(settings.client_id or "", secret)

    tokens = Tokens(
        login,
        request,
        guard=upstreams.login(settings),
        pause_cap_seconds=all_settings.retry.after_cap_seconds,
    )
    upstreams.watch_problem(LOGIN, lambda: tokens.refusal, tokens)
    stack.push_async_callback(tokens.aclose)
    return tokens


def _details(
    all_settings: Settings, api: Api, dialect: Dialect, stack: AsyncExitStack
) -> ConversationDetails:
    batching = Batching.within(
        all_settings.genesys.requests_per_minute,
        wait_seconds=all_settings.lookups.batch_milliseconds / 1000,
    )
    details = ConversationDetails(api, dialect.details, batching)
    stack.push_async_callback(details.aclose)
    return details


def _sentiment(
    settings: Genesys,
    api: Api,
    dialect: Dialect,
    details: ConversationDetails,
    upstreams: Upstreams,
    stack: AsyncExitStack,
) -> ChatSentiment:
    guard = upstreams.http("transcripts", TRANSCRIPT_ATTEMPTS, TRANSCRIPT_DEADLINE_SECONDS)
    if "transcripts" not in dialect.features:
        return QuerySentiment(api)
    transcripts = Transcripts(
        guard,
        HttpLimits(total_seconds=TRANSCRIPT_SECONDS),
        buckets=settings.transcript_buckets,
        # Only beside an API of this machine: an emulator's, or a test's.
        loopback=is_loopback(urlsplit(api_url(settings)).hostname),
    )
    stack.push_async_callback(transcripts.aclose)
    return TranscriptSentiment(api, details, transcripts)
