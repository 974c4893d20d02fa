"""Genesys Cloud as jobs use it: one client, its verbs, what bounds them, and how it is opened."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from random import Random
from urllib.parse import urlsplit

from msgspec import Struct

from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Batching, ConversationDetails, LiveConversations
from worker.clients.genesys.dialects import Dialect, Host, Platform, Reference, Text
from worker.clients.genesys.participants import Attributes, Schema, flow_cache
from worker.clients.genesys.speech import (
    ChatSentiment,
    QuerySentiment,
    Scores,
    transcript_sentiment,
)
from worker.clients.genesys.wire import LOGIN, Call, Token
from worker.clients.http import HttpClient, HttpLimits, Sender
from worker.errors import Misconfigured, Permanent, WorkerError
from worker.findings import Finding, fail
from worker.resilience import Cache, Guard, Limiter
from worker.settings import Genesys, Settings, is_loopback

API = "genesys"
"""Name of the API's host, in errors."""

TRANSCRIPTS = "transcripts"
"""Name of the upstream that transcripts come from: a store of files, beside the API."""


class GenesysClients(Struct, frozen=True, kw_only=True):
    """The client, and what /status and readiness ask about it."""

    api: Api
    dialect: Dialect
    actions: Actions
    conversations: LiveConversations
    attributes: Attributes
    details: ConversationDetails
    """By id, many in one request: shared, so that two handlers of a chat ask once."""

    sentiment: ChatSentiment
    scores: Scores
    tokens: Tokens
    limiter: Limiter

    @property
    def problem(self) -> str | None:
        """Why there is no token; None when there is one, or none was asked for."""
        return self.tokens.problem

    async def check_token(self) -> None:
        """Find out about refused credentials, or their end, while no message asks."""
        with suppress(WorkerError):  # reported by the client itself, and by readiness
            await self.tokens.get()

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
            if error.upstream is not None and error.upstream.startswith(LOGIN):
                return []
            remedy = "check GENESYS_API_URL and the network to the API host"
            if isinstance(error, Permanent):
                remedy = f"check {setting}"
            if isinstance(error, Misconfigured):
                remedy = error.remedy
            return [fail(name, str(error), remedy)]


async def open_clients(
    settings: Settings,
    dialect: Dialect,
    guards: Mapping[str, Guard],
    limiter: Limiter,
    random: Random,
    stack: AsyncExitStack,
    sender: Callable[[str, HttpClient], Sender] = lambda _, client: client,
) -> GenesysClients:
    """Open the Genesys client. Its credentials are set: each job that wants it needs them.

    `guards`: of the parts of the API, of LOGIN and of TRANSCRIPTS. `sender`: given the client of
    the API by the name API, returns what sends in its place.
    """
    genesys = settings.genesys
    limits = HttpLimits(total_seconds=genesys.timeout_seconds, connections=settings.sqs.concurrency)
    login = await stack.enter_async_context(
        HttpClient("genesys login", login_url(genesys, dialect.issuer), limits)
    )
    http = await stack.enter_async_context(HttpClient(API, api_url(genesys), limits))
    tokens = _tokens(settings, login, dialect, guards[LOGIN], stack)
    api = Api(sender(API, http), tokens, guards, limiter, foreign=dialect.foreign)
    flows = Cache[str, Schema]("flows", flow_cache(settings.cache.max_entries), random=random)
    details = _details(settings, api, dialect, stack)
    sentiment = _sentiment(genesys, api, dialect, details, guards[TRANSCRIPTS], stack)
    return GenesysClients(
        api=api,
        dialect=dialect,
        actions=_actions(genesys, api, dialect),
        conversations=LiveConversations(api, can_ask="live_conversations" in dialect.features),
        attributes=Attributes(api, dialect.attributes, flows),
        details=details,
        sentiment=sentiment,
        scores=Scores(api),
        tokens=tokens,
        limiter=limiter,
    )


def _tokens(
    settings: Settings, login: HttpClient, dialect: Dialect, guard: Guard, stack: AsyncExitStack
) -> Tokens:
    genesys = settings.genesys

    def request() -> Call[Token]:
        secret = genesys.client_secret.get_secret_value() if genesys.client_secret else ""
        return dialect.token(genesys.client_id or "", secret)

    tokens = Tokens(login, request, guard=guard, pause_cap_seconds=settings.retry.after_cap_seconds)
    stack.push_async_callback(tokens.aclose)
    return tokens


def _actions(settings: Genesys, api: Api, dialect: Dialect) -> Actions:
    repeatable, concurrency = settings.action_repeatable, settings.action_concurrency
    return Actions(api, dialect, repeatable=repeatable, concurrency=concurrency)


def _details(
    settings: Settings, api: Api, dialect: Dialect, stack: AsyncExitStack
) -> ConversationDetails:
    batching = Batching.within(
        settings.genesys.requests_per_minute,
        wait_seconds=settings.lookups.batch_milliseconds / 1000,
    )
    details = ConversationDetails(api, dialect.details, batching)
    stack.push_async_callback(details.aclose)
    return details


def _sentiment(
    settings: Genesys,
    api: Api,
    dialect: Dialect,
    details: ConversationDetails,
    guard: Guard,
    stack: AsyncExitStack,
) -> ChatSentiment:
    if "transcripts" not in dialect.features:
        return QuerySentiment(api)
    sentiment = transcript_sentiment(
        api,
        details.by_id,
        guard,
        buckets=settings.transcript_buckets,
        # Only beside an API of this machine: an emulator's, or a test's.
        loopback=is_loopback(urlsplit(api_url(settings)).hostname),
    )
    stack.push_async_callback(sentiment.aclose)
    return sentiment


def dialect_of(settings: Genesys, text: Text = "r2") -> Dialect:
    """Return the dialect the settings name. `text`: the one a job is of, unless they name one."""
    if settings.dialect == Platform.name:
        return Platform(settings.token_path, settings.action_not_found)
    return Reference(settings.reference or text, settings.token_path, settings.action_not_found)


def api_url(settings: Genesys) -> str:
    """Return the base URL of the API."""
    return str(settings.api_url or f"https://api.{settings.environment}")


def login_url(settings: Genesys, host: Host) -> str:
    """Return the base URL of the token request."""
    if settings.login_url:
        return str(settings.login_url)
    return api_url(settings) if host == "api" else f"https://login.{settings.environment}"
