"""The groups of settings that belong to no job: the process, its queues, and the upstreams."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from worker.settings.bindings import DeadLetterUrls, QueueUrls, entries_of, is_fifo
from worker.settings.fields import (
    AgentUrl,
    ApiUrl,
    BearerToken,
    CollectorUrl,
    Domain,
    Globs,
    Group,
    LogFormat,
    LogLevel,
    Seconds,
    Transport,
    Url,
    Uuid,
    Word,
    example,
    group,
    like,
)


class Ops(Group):
    """The operators' HTTP server."""

    model_config = group("OPS_")

    host: str = "127.0.0.1"
    """Address to listen on: 127.0.0.1 is loopback (IPv6 too), 0.0.0.0 or :: all: in a container."""

    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    """Port; 0 takes a free one and logs it."""

    stall_seconds: Annotated[Seconds, Field(ge=1)] = 30
    """Silence of the event loop after which /livez answers 503; it beats twice a second."""


class Log(Group):
    """Logging."""

    model_config = group("LOG_")

    level: LogLevel = "info"
    """Least severity that is written."""

    format: LogFormat = "auto"
    """`auto`: console on a terminal, one JSON object a line otherwise."""


class Aws(Group):
    """Read here for checks and messages; everything else is the SDK's own chain."""

    model_config = group("AWS_")

    region: str | None = None
    """Region of all clients. Unset: AWS_DEFAULT_REGION or the profile's."""

    endpoint_url: Url | None = None
    """Another endpoint for all AWS services: emulators."""

    transport: Transport = "wire"
    """How SQS, DynamoDB, Step Functions and EventBridge are called: by our own client (`wire`, at a
    fraction of the CPU time; `aiohttp`, as `wire` is behind a proxy) or by aioboto3 (`sdk`)."""


class Ecs(Group):
    """What ECS sets for its tasks."""

    model_config = group("ECS_")

    agent_uri: AgentUrl | None = None
    """The ECS agent, set by ECS itself: asked not to end this task while it writes a report."""


class Otel(Group):
    """What a collector is sent; all other `OTEL_` variables are read by OpenTelemetry itself."""

    model_config = group("OTEL_")

    exporter_otlp_endpoint: CollectorUrl | None = None
    """Collector that is sent spans and metrics, by OTLP over HTTP (extra `otel`). Unset: none."""

    traces_exporter: str = "otlp"
    """`none`: no tracing, although there is a collector."""

    metrics_exporter: Literal["otlp", "prometheus", "none"] = "otlp"
    """`prometheus`, `none`: the metrics are on /metrics alone, although there is a collector."""

    sdk_disabled: bool = False
    """Neither spans nor metrics."""


class Handlers(Group):
    """Which jobs are on."""

    model_config = group("")

    handlers: Globs = ()
    """Jobs, comma separated, e.g. `voice,reports`. Unset: every job whose settings are there."""

    @field_validator("handlers")
    @classmethod
    def _once_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))


class Sqs(Group):
    """The queue and how it is worked off."""

    model_config = group("SQS_")

    queue_url: QueueUrls
    """URL of the queue the events arrive on, or a list of queues, each bound to its jobs:
    `voice=https://…,attributes+sentiment=https://…`."""

    dead_letter_queue_url: DeadLetterUrls | None = None
    """URL of the queue for dead letters, or two: a standard one and a `.fifo` one, each for the
    queues of its kind. Unset: nothing is dead-lettered, such messages stay."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 64
    """Messages handled at once."""

    wait_seconds: Annotated[int, Field(ge=0, le=20)] = 10
    """Length of a long poll. Part of the shutdown time: a running poll is never cut."""

    visibility_seconds: Annotated[int, Field(ge=10, le=43200)] | None = None
    """Visibility timeout of what we receive. Unset: the queue's own, read at start."""

    drain_seconds: Seconds = 25
    """Seconds given to messages in flight after SIGTERM; keep below the platform's kill time."""

    start_seconds: Seconds = 300
    """How long the start waits for SQS to answer and for permissions; then exit code 3."""

    park_limit: Annotated[int, Field(ge=1)] = 50
    """Dead letters of one cause (fingerprint) and process before the limit closes, plus one for
    every ten messages that its job has done. Beyond it messages of that cause stay on the queue,
    and one at a time tries."""

    ack_flush_milliseconds: Annotated[int, Field(ge=0, le=1000)] = 100
    """How long a delete waits for nine others to share its call."""

    @property
    def queue_urls(self) -> tuple[str, ...]:
        """The URLs of all queues."""
        return tuple(entry.url for entry in entries_of(self.queue_url))

    @property
    def dead_letter_queue_urls(self) -> tuple[str, ...]:
        """The URLs of all dead-letter queues."""
        return tuple(entry.url for entry in entries_of(self.dead_letter_queue_url or ""))

    def dead_letter_queue_for(self, queue_url: str) -> str | None:
        """Return the dead-letter queue of a queue: the one of its kind. None: there is none."""
        kind = is_fifo(queue_url)
        return next((url for url in self.dead_letter_queue_urls if is_fifo(url) == kind), None)


class Retry(Group):
    """When a message that failed comes back."""

    model_config = group("RETRY_")

    base_seconds: Seconds = 5
    """First backoff; doubled per attempt; half of it is fixed, half random."""

    cap_seconds: Annotated[Seconds, Field(le=43200)] = 900
    """Longest backoff of our own choice."""

    after_cap_seconds: Annotated[Seconds, Field(le=43200)] = 900
    """How much of an upstream's Retry-After is obeyed; then one call tries whether it holds."""

    horizon_seconds: Seconds = 21600
    """Age of a message, since it was sent to SQS, from which it is dead-lettered once it has failed
    eight times by itself and its job did another meanwhile; without that, at twice the age."""


class Handler(Group):
    """Limits of one run of a handler."""

    model_config = group("HANDLER_")

    deadline_seconds: Seconds = 60
    """Time for all handlers of one message; then they are cancelled and the message retried."""


class Events(Group):
    """Events in general; which `detail-type`s a job reads is among its own settings."""

    model_config = group("EVENTS_")

    unrouted: Literal["drop", "park"] = "drop"
    """What happens to a type no job wants."""


ReferenceText = Literal["r0", "r1", "r2", "r3", "r4"]

Path = Annotated[str, like("/.*", "must begin with /"), example("/oauth/token")]


class Genesys(Group):
    """Genesys Cloud and the OAuth client that calls it."""

    model_config = group("GENESYS_")

    client_id: Word | None = None
    """OAuth client (grant: client credentials)."""

    client_secret: BearerToken | None = None
    """Its secret."""

    environment: Domain = "mypurecloud.com"
    """Domain of the region, e.g. `mypurecloud.ie`; or its AWS region, e.g. `eu-west-1`."""

    dialect: Literal["platform", "reference"] = "platform"
    """`platform`: the real API. `reference`: the API literally as a reference text has it."""

    reference: ReferenceText | None = None
    """The reference text that says how tokens are asked for. Unset: the job's own (r0 voice, r1
    workflow, r2 attributes and jobs of other packages, r3 sentiment, r4 reports)."""

    api_url: ApiUrl | None = None
    """Overrides https://api.{environment}; for gateways and tests."""

    login_url: ApiUrl | None = None
    """Overrides https://login.{environment} (reference texts but r2: the API host)."""

    token_path: Path | None = None
    """Path of the token request. Unset: /oauth/token (r0 and r3: /api/v2/oauth/token)."""

    requests_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 240
    """Requests of one process, of the platform's 300 per minute and token. Divide by the number of
    replicas, unless they share GENESYS_FLEET_REQUESTS_PER_MINUTE."""

    fleet_requests_per_minute: Annotated[int, Field(ge=10)] | None = None
    """The OAuth client's own limit, shared by all replicas in BUDGET_TABLE or LEDGER_TABLE; less if
    others use the client. Unset: each replica has GENESYS_REQUESTS_PER_MINUTE to itself."""

    timeout_seconds: Seconds = 10
    """Longest wait for one reply."""

    deadline_seconds: Seconds = 25
    """Longest one call may take with its retries; what it waits for token and budget aside."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Attempts of one call within its deadline; after that the message is retried later."""

    action_repeatable: bool = True
    """False for a data action that writes: one that may have run is not sent again by the same run.
    The message still comes back, and asks anew."""

    action_not_found: Literal["unknown", "retry"] = "unknown"
    """What a 404 of the system behind the data action means. `unknown`: no such customer, the
    record says tier `unknown`. `retry`: the customer is expected to be there later."""

    action_concurrency: Annotated[int, Field(ge=1)] = 15
    """Data actions under way at once. An organization has a limit of its own for them
    (`actions.concurrent.executions.max`), which its flows use up, too; further ones wait."""

    transcript_buckets: Globs = ("inin-prod-*",)
    """S3 buckets that transcripts are fetched from, as globs: Genesys' own; and names of hosts that
    are not S3's. A transcript anywhere else waits, and the bucket or host is reported."""

    organization_id: Uuid | None = None
    """Genesys organization whose events are handled: one whose `source` names another is
    dead-lettered. Unset: all are handled."""

    @model_validator(mode="after")
    def _text_of_the_reference(self) -> Self:
        if self.reference is not None and self.dialect != "reference":
            raise ValueError("GENESYS_REFERENCE: takes GENESYS_DIALECT=reference")
        return self


class Budget(Group):
    """Where replicas share the request budget."""

    model_config = group("BUDGET_")

    table: str | None = None
    """DynamoDB table of the keys and the TTL that LEDGER_TABLE has. Unset: LEDGER_TABLE."""


class Lookups(Group):
    """Lookups of conversations, which share their requests."""

    model_config = group("WORKFLOW_")

    batch_milliseconds: Annotated[int, Field(ge=0, le=5000)] = 50
    """How long a lookup of a conversation waits for others to share its request."""


class Webhooks(Group):
    """Webhooks in general."""

    model_config = group("WEBHOOK_")

    secret: SecretStr | None = None
    """Signs all webhooks (Standard Webhooks): `whsec_` and base64, or any text; several, separated
    by blanks, while they rotate. Unset: nothing is signed."""


class EventBus(Group):
    """The EventBridge bus that our own events are put on."""

    model_config = group("EVENT_BUS_")

    name: str = "default"
    """Name or ARN of the bus."""


class Cache(Group):
    """What was looked up and may serve again."""

    model_config = group("CACHE_")

    max_entries: Annotated[int, Field(ge=1)] = 10_000
    """Of each cache: customers, records of the CRM, flows. Least recently used ones go first."""

    soft_ttl_seconds: Seconds = 300
    """Age at which an entry is asked for anew."""

    hard_ttl_seconds: Seconds = 3600
    """Age up to which it still serves while the upstream is down."""

    negative_ttl_seconds: Seconds = 60
    """How long «no such customer» is believed."""

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.soft_ttl_seconds > self.hard_ttl_seconds:
            raise ValueError("CACHE_SOFT_TTL_SECONDS: must not exceed CACHE_HARD_TTL_SECONDS")
        return self


class Breaker(Group):
    """Circuit breakers, one per upstream."""

    model_config = group("BREAKER_")

    enabled: bool = True
    """False lets every call through."""

    window_seconds: Seconds = 30
    """Window over which failures are counted."""

    min_calls: Annotated[int, Field(ge=1)] = 10
    """Fewest calls in the window for the breaker to open."""

    failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of failing messages, at least three of them, that opens. A message counts once, by its
    latest call."""

    open_seconds: Seconds = 5
    """First pause; doubled each time the probe of a message that had not failed before fails."""

    max_open_seconds: Seconds = 30
    """Longest pause."""

    @model_validator(mode="after")
    def _first_pause_within_longest(self) -> Self:
        if self.open_seconds > self.max_open_seconds:
            raise ValueError("BREAKER_OPEN_SECONDS: must not exceed BREAKER_MAX_OPEN_SECONDS")
        return self


class Idempotency(Group):
    """The idempotency store: what was done already, remembered for all workers."""

    model_config = group("LEDGER_")

    INDEX: ClassVar[str] = "conversationId-index"
    """Partition key `conversationId` (S), keys only: those cost one write a claim."""

    table: str | None = None
    """DynamoDB table with partition key `id` (S), TTL on `expiresAt`, and for `worker trace` the
    index `conversationId-index`. Unset: each process remembers for itself, until it ends, and knows
    of no message that ended another."""

    lease_seconds: Annotated[Seconds, Field(ge=2)] = 120
    """How long work belongs to a worker that fell silent; renewed while it runs. Above
    HANDLER_DEADLINE_SECONDS it needs no renewal; a kill delays the copy by as much."""

    retention_seconds: Annotated[int, Field(ge=60)] = 1_296_000
    """How long done work is remembered: longer than SQS keeps a message, 14 days at most."""

    fail_open: bool = False
    """True: while the table is down, events are handled without it, and perhaps twice. False: they
    wait on the queue."""
