"""Every setting, from the environment only; the one reader of `os.environ`.

Each group is a model whose fields are documented in place: `worker settings` and README's table
are made of these docstrings. All bad fields are reported at once, and never with a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.errors import ConfigurationError

Seconds = Annotated[float, Field(gt=0)]
Globs = Annotated[tuple[str, ...], NoDecode]


def _group(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(
        env_prefix=prefix, frozen=True, extra="ignore", use_attribute_docstrings=True
    )


def _split(value: object) -> object:
    """Read a comma-separated list; pydantic-settings would want JSON."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class Sqs(BaseSettings):
    """The queue and how it is worked off."""

    model_config = _group("SQS_")

    queue_url: HttpUrl
    """URL of the queue the events arrive on."""

    dead_letter_queue_url: HttpUrl | None = None
    """URL of the queue for parked messages. Unset: nothing is parked, such messages stay."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 64
    """Messages handled at once."""

    wait_seconds: Annotated[int, Field(ge=0, le=20)] = 10
    """Length of a long poll. Part of the shutdown time: a running poll is never cut."""

    visibility_seconds: Annotated[int, Field(ge=10, le=43200)] | None = None
    """Visibility timeout of what we receive. Unset: the queue's own, read at start."""

    drain_seconds: Seconds = 25
    """Seconds given to messages in hand after SIGTERM; keep below the platform's kill time."""

    ack_flush_milliseconds: Annotated[int, Field(ge=0, le=1000)] = 100
    """How long a delete waits for nine others to share its call."""


class Retry(BaseSettings):
    """When a message that failed comes back."""

    model_config = _group("RETRY_")

    base_seconds: Seconds = 5
    """First backoff; doubled per attempt, with full jitter."""

    cap_seconds: Annotated[float, Field(gt=0, le=43200)] = 900
    """Longest backoff of our own choice; an upstream's Retry-After may be longer."""

    horizon_seconds: Seconds = 21600
    """Age of a message (since it was sent to SQS) at which a failure parks it."""


class Handler(BaseSettings):
    """Limits of one run of a handler."""

    model_config = _group("HANDLER_")

    deadline_seconds: Seconds = 60
    """Time for all handlers of one message; then they are cancelled and the message retried."""


class Events(BaseSettings):
    """Which `detail-type` is which event (globs, comma separated)."""

    model_config = _group("EVENTS_")

    unrouted: Literal["drop", "park"] = "drop"
    """What happens to a type no handler wants."""

    voice_types: Globs = (
        "v2.speechandtextanalytics.conversation.*.sentiment",
        "voice.analytics",
        "Voice Analytics*",
    )
    """Types read as VoiceScored."""

    ended_types: Globs = ("v2.detail.events.conversation.*.customer.end", "conversation.end")
    """Types read as ConversationEnded."""

    attributes_types: Globs = (
        "v2.detail.events.conversation.*.customer.start",
        "conversation.start",
        "conversation.attributes.requested",
    )
    """Types read as AttributesWanted."""

    chat_types: Globs = (
        "v2.detail.events.conversation.*.customer.end",
        "chat.sentiment",
        "conversation.chat.sentiment",
    )
    """Types read as ChatScored; in platform form only with media type CHAT or MESSAGE."""

    report_types: Globs = ("report.due", "Scheduled Event")
    """Types read as ReportDue."""

    _lists = field_validator("*", mode="before")(
        lambda value, info: value if info.field_name == "unrouted" else _split(value)
    )


class Genesys(BaseSettings):
    """Genesys Cloud and the OAuth client that calls it."""

    model_config = _group("GENESYS_")

    client_id: str | None = None
    """OAuth client (grant: client credentials)."""

    client_secret: SecretStr | None = None
    """Its secret."""

    environment: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")] = "mypurecloud.com"
    """Domain of the region, e.g. `mypurecloud.ie`, `euw2.pure.cloud`."""

    dialect: Literal["platform", "reference"] = "platform"
    """`platform`: the real API. `reference`: the API as texts R0..R4 describe it."""

    api_url: HttpUrl | None = None
    """Overrides https://api.{environment}; for gateways and tests."""

    login_url: HttpUrl | None = None
    """Overrides https://login.{environment} (reference dialect: the API host)."""

    token_path: Annotated[str, Field(pattern=r"^/")] | None = None
    """Path of the token request. Unset: /oauth/token (reference: /api/v2/oauth/token)."""

    requests_per_minute: Annotated[float, Field(gt=0)] = 240
    """Our share of the platform's 300 requests per minute; divide by the number of replicas."""

    timeout_seconds: Seconds = 10
    """Longest wait for one reply."""

    deadline_seconds: Seconds = 25
    """Longest one call may take with its retries and its wait for the budget."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Attempts of one call within its deadline; after that the message is retried later."""

    action_id: str | None = None
    """Data action that knows the customer behind a phone number."""


class Voice(BaseSettings):
    """Voice enrichment."""

    model_config = _group("VOICE_")

    degrade_after_seconds: Seconds | None = None
    """Age of an event after which its record is written without customer data while the data
    action is down. Unset: it waits, and is retried."""

    input_field: str = "phone_number"
    """Name of the data action's input that takes the phone number."""

    tier_field: str = "tier"
    """Name of the data action's output that holds the customer tier."""

    ltv_field: str = "ltv"
    """Name of the data action's output that holds the lifetime value."""


class DynamoDb(BaseSettings):
    """Table of the voice records."""

    model_config = _group("DYNAMODB_")

    table: str | None = None
    """Name of the table: `conversationId` (S) and `eventTimestamp` (S)."""

    retention_seconds: Seconds | None = None
    """Sets `expiresAt` (TTL) that long after the write. Unset: records stay."""


class Cache(BaseSettings):
    """Customers already looked up."""

    model_config = _group("CACHE_")

    max_entries: Annotated[int, Field(ge=1)] = 10_000
    """Least recently used ones go first."""

    soft_ttl_seconds: Seconds = 300
    """Age at which an entry is asked for anew."""

    hard_ttl_seconds: Seconds = 3600
    """Age up to which it still serves while the upstream is down."""

    negative_ttl_seconds: Seconds = 60
    """How long «no such customer» is believed."""

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.soft_ttl_seconds > self.hard_ttl_seconds:
            raise ValueError("soft_ttl_seconds must not exceed hard_ttl_seconds")
        return self


class Breaker(BaseSettings):
    """Circuit breakers, one per upstream."""

    model_config = _group("BREAKER_")

    enabled: bool = True
    """False lets every call through."""

    window_seconds: Seconds = 30
    """Span over which calls are judged."""

    min_calls: Annotated[int, Field(ge=1)] = 10
    """Calls in the window before anything is judged."""

    failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of failed calls that opens."""

    slow_seconds: Seconds = 8
    """A call that takes longer counts as slow."""

    slow_ratio: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of slow calls that opens."""

    open_seconds: Seconds = 5
    """First pause; doubled each time a probe fails."""

    max_open_seconds: Seconds = 60
    """Longest pause."""


class Ops(BaseSettings):
    """The operators' HTTP server."""

    model_config = _group("OPS_")

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 inside a container."""

    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    """Port; 0 takes a free one and logs it."""

    stall_seconds: Seconds = 30
    """Silence of the event loop after which /livez answers 503."""


class Log(BaseSettings):
    """Logging."""

    model_config = _group("LOG_")

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""

    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: console on a terminal, one JSON object a line otherwise."""

    _lower = field_validator("*", mode="before")(
        lambda value: value.lower() if isinstance(value, str) else value
    )


class Aws(BaseSettings):
    """Read here for checks and messages; everything else is the SDK's own chain."""

    model_config = _group("AWS_")

    region: str | None = None
    """Region of all clients. Unset: AWS_DEFAULT_REGION or the profile's."""

    endpoint_url: HttpUrl | None = None
    """Another endpoint for all AWS services: emulators."""


HANDLER_NEEDS: Mapping[str, tuple[str, ...]] = {
    "voice": ("GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "GENESYS_ACTION_ID", "DYNAMODB_TABLE"),
}
"""The handlers there are, and the settings without which each cannot work."""


class Handlers(BaseSettings):
    """Which handlers are on."""

    model_config = _group("")

    handlers: Globs = ()
    """Comma separated: voice. Unset: every handler whose settings are there."""

    _lists = field_validator("handlers", mode="before")(_split)

    @field_validator("handlers")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(names) - set(HANDLER_NEEDS)):
            raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(HANDLER_NEEDS)}")
        return names


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, checked together."""

    sqs: Sqs
    retry: Retry
    handler: Handler
    events: Events
    genesys: Genesys
    voice: Voice
    dynamodb: DynamoDb
    cache: Cache
    breaker: Breaker
    ops: Ops
    log: Log
    aws: Aws
    handlers: Handlers
