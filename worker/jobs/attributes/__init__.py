"""Attribute injection: a conversation that began gets what the CRM knows of its customer."""

from worker.api import Context, EventType, Job
from worker.jobs.attributes.crm import Crm
from worker.jobs.attributes.events import AttributesWanted, from_platform, from_reference
from worker.jobs.attributes.handler import InjectAttributes, Policy, trace_id
from worker.jobs.attributes.inspector import rules_of
from worker.jobs.attributes.settings import AttributesSettings


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
