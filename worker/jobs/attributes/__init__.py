"""Attribute injection: a conversation that began gets what the CRM knows of its customer."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from worker.api import BearerToken, Context, EventType, Globs, Job, JobSettings, Seconds, Url, Uuid
from worker.jobs.attributes.crm import Crm
from worker.jobs.attributes.events import AttributesWanted, from_platform, from_reference
from worker.jobs.attributes.handler import InjectAttributes, Policy, trace_id
from worker.jobs.attributes.inspector import Rules


class AttributesSettings(JobSettings):
    """Attributes written to conversations."""

    genesys_flow_id: Uuid | None = None
    """Flow whose inputs say which attributes a conversation gets, and of what kind."""

    crm_api_endpoint: Url | None = None
    """Look-up of a customer: called with `conversationId` and, when known, `phone`; see
    `CRM_CACHE_BY`."""

    crm_api_token: BearerToken | None = None
    """Sent to it as a bearer token. Unset: none is sent."""

    crm_cache_by: Literal["conversation", "phone"] = "conversation"
    """What an answer is remembered for. `conversation`: for the conversation it was asked for, and
    no other. `phone`: the CRM is asked by number alone, and all conversations of a number share its
    answer; one without a number is asked for by conversation."""

    crm_timeout_seconds: Seconds = 5
    """Longest wait for one reply."""

    crm_deadline_seconds: Seconds = 12
    """Longest one look-up may take with its retries."""

    crm_attempts: Annotated[int, Field(ge=1, le=10)] = 2
    """Attempts of one look-up; after that the message is retried later."""

    analytics_webhook_url: Url | None = None
    """Notified of injected attributes, at best effort. Unset: it is not."""

    attributes_max_age_seconds: Seconds = 900
    """Age of an event from which a failure is no longer retried: the conversation is over."""

    attributes_strict: bool = False
    """True: an attribute that does not fit the flow dead-letters the message. False: it is left
    out."""

    attributes_max_count: Annotated[int, Field(ge=1)] = 50
    """Attributes of one write; more dead-letter the message."""

    attributes_max_length: Annotated[int, Field(ge=1)] = 1024
    """Characters of a name and of a value; a longer one is left out, never cut."""

    attributes_prefix: str = ""
    """Put before each name, e.g. `crm.`; the flow's own names have none."""

    events_attributes_types: Globs = (
        "v2.detail.events.conversation.*.customer.start",
        "conversation.start",
        "conversation.attributes.requested",
    )
    """Types read as AttributesWanted."""

    @model_validator(mode="after")
    def _timeout_within_deadline(self) -> Self:
        if self.crm_timeout_seconds > self.crm_deadline_seconds:
            raise ValueError("CRM_TIMEOUT_SECONDS: must not exceed CRM_DEADLINE_SECONDS")
        return self


async def build(context: Context, settings: AttributesSettings) -> InjectAttributes:
    """Return the handler, its CRM and its webhook."""
    genesys = (await context.genesys()).attributes
    policy = Policy(
        flow_id=settings.genesys_flow_id or "",
        max_age_seconds=settings.attributes_max_age_seconds,
        rules=rules_of(settings, typed=genesys.typed),
    )
    return InjectAttributes(
        crm=await open_crm(context, settings),
        genesys=genesys,
        policy=policy,
        analytics=await context.webhook("analytics_webhook", settings.analytics_webhook_url),
        now=context.now,
    )


async def open_crm(context: Context, settings: AttributesSettings) -> Crm:
    """Return the CRM that customers are looked up in."""
    url = str(settings.crm_api_endpoint)
    http = await context.http(
        "crm",
        url,
        setting="CRM_API_ENDPOINT",
        timeout_seconds=settings.crm_timeout_seconds,
        deadline_seconds=settings.crm_deadline_seconds,
        attempts=settings.crm_attempts,
    )
    token = settings.crm_api_token.get_secret_value if settings.crm_api_token else None
    return Crm(
        url,
        http,
        context.cache("crm"),
        token=token,
        cache_by=settings.crm_cache_by,
    )


def rules_of(settings: AttributesSettings, *, typed: bool = False) -> Rules:
    """Return what the settings allow; `typed`: see `Rules`."""
    return Rules(
        typed=typed,
        strict=settings.attributes_strict,
        max_count=settings.attributes_max_count,
        max_length=settings.attributes_max_length,
        prefix=settings.attributes_prefix,
    )


JOB = Job(
    name="attributes",
    summary="injects CRM attributes into conversations that begin",
    events=(
        EventType(
            kind=AttributesWanted,
            types="events_attributes_types",
            platform=from_platform,
            reference=from_reference,
        ),
    ),
    settings=AttributesSettings,
    build=build,
    requires=("GENESYS_FLOW_ID", "CRM_API_ENDPOINT"),
    needs=("login", "conversations"),
    may_miss=("crm", "architect"),
    topics=("v2.detail.events.conversation.{id}.customer.start",),
    permissions={
        "GET /api/v2/flows/{flowId}": "architect:flow:view",
        "GET /api/v2/conversations/{conversationId}": "conversation:communication:view",
        "PATCH /api/v2/conversations/{conversationId}/participants/{participantId}/attributes": "",
    },
    age_limit="attributes_max_age_seconds",
    waits=("attributes_max_age_seconds",),
    webhooks=("analytics_webhook_url",),
    effects=lambda event: {"traceId": trace_id(event)},
    checks={
        "CRM": "worker.jobs.attributes.checks:check_crm",
        "Genesys flow": "worker.jobs.attributes.checks:check_flow",
    },
    inspector="worker.jobs.attributes.checks:inspector",
    without_backfill="a conversation that is over has no use for attributes",
    trace="worker.jobs.attributes.checks:trace",
    demo="worker.jobs.attributes.demo:demo",
)
