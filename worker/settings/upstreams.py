"""Settings of the upstreams and stores that jobs share, and of what guards the calls."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from worker.settings.fields import Globs, Group, Seconds, Url, Uuid, example, group, like

REGIONS = {
    "us-east-1": "mypurecloud.com",
    "us-east-2": "use2.us-gov-pure.cloud",
    "us-west-2": "usw2.pure.cloud",
    "ca-central-1": "cac1.pure.cloud",
    "mx-central-1": "mxc1.pure.cloud",
    "sa-east-1": "sae1.pure.cloud",
    "eu-west-1": "mypurecloud.ie",
    "eu-west-2": "euw2.pure.cloud",
    "eu-central-1": "mypurecloud.de",
    "eu-central-2": "euc2.pure.cloud",
    "eusc-de-east-1": "edee1.eusc-pure.cloud",
    "me-central-1": "mec1.pure.cloud",
    "ap-south-1": "aps1.pure.cloud",
    "ap-southeast-1": "apse1.pure.cloud",
    "ap-southeast-2": "mypurecloud.com.au",
    "ap-northeast-1": "mypurecloud.jp",
    "ap-northeast-2": "apne2.pure.cloud",
    "ap-northeast-3": "apne3.pure.cloud",
}
"""AWS regions of Genesys Cloud with their domains. New ones appear every year: any domain will do.

https://help.mypurecloud.com/articles/aws-regions-for-genesys-cloud-deployment/
"""


def _domain(text: str) -> str:
    name = text.lower()
    if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", name):
        return name
    if name not in REGIONS:
        raise ValueError("is neither a domain nor an AWS region of Genesys Cloud")
    return REGIONS[name]


Domain = Annotated[str, AfterValidator(_domain), example("mypurecloud.ie or eu-west-1")]
Path = Annotated[str, like("/.*", "must begin with /"), example("/oauth/token")]


class Genesys(Group):
    """Genesys Cloud and the OAuth client that calls it."""

    model_config = group("GENESYS_")

    client_id: str | None = None
    """OAuth client (grant: client credentials)."""

    client_secret: SecretStr | None = None
    """Its secret."""

    environment: Domain = "mypurecloud.com"
    """Domain of the region, e.g. `mypurecloud.ie`, `euw2.pure.cloud`; or its AWS region, e.g.
    `eu-west-1`."""

    dialect: Literal["platform", "reference"] = "platform"
    """`platform`: the real API. `reference`: the API as texts R0..R4 describe it."""

    api_url: Url | None = None
    """Overrides https://api.{environment}; for gateways and tests."""

    login_url: Url | None = None
    """Overrides https://login.{environment} (reference dialect: the API host)."""

    token_path: Path | None = None
    """Path of the token request. Unset: /oauth/token (reference: /api/v2/oauth/token)."""

    requests_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 240
    """Our share of the platform's 300 requests per minute; divide by the number of replicas."""

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

    action_concurrency: Annotated[int, Field(ge=1)] = 25
    """Data actions under way at once. An organization has a limit of its own for them
    (`actions.concurrent.executions.max`), which its flows use up, too; further ones wait."""

    transcript_buckets: Globs = ("inin-prod-*",)
    """S3 buckets that transcripts are fetched from, as globs: Genesys' own. A transcript in another
    bucket waits, and its name is reported."""

    organization_id: Uuid | None = None
    """Genesys organization whose events are handled: one whose `source` names another is
    dead-lettered. Unset: all are handled."""


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
    """Customers already looked up."""

    model_config = group("CACHE_")

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

    table: str | None = None
    """DynamoDB table with partition key `id` (S), no sort key, and TTL on `expiresAt`. Unset: each
    process remembers for itself, until it ends, and knows of no message that ended another."""

    lease_seconds: Annotated[Seconds, Field(ge=2)] = 120
    """How long work belongs to a worker that fell silent; renewed while it runs. Above
    HANDLER_DEADLINE_SECONDS it needs no renewal; a kill delays the copy by as much."""

    retention_seconds: Annotated[int, Field(ge=60)] = 1_296_000
    """How long done work is remembered: longer than SQS keeps a message, 14 days at most."""

    fail_open: bool = False
    """True: while the table is down, events are handled without it, and perhaps twice. False: they
    wait on the queue."""
