"""Builds attribute injection."""

from worker.app.genesys import GenesysParts
from worker.app.webhooks import build_webhook
from worker.app.workshop import Workshop, now
from worker.clients.crm import Crm, Record
from worker.clients.endpoint import origin_of
from worker.clients.http import HttpClient, HttpLimits
from worker.domain.attributes.injection import Policy
from worker.domain.attributes.inspector import rules_of
from worker.handlers.attribute_injection import InjectAttributes
from worker.resilience.cache import Cache, CachePolicy


async def build(workshop: Workshop, genesys: GenesysParts) -> InjectAttributes:
    """Return the handler, its CRM and its webhook."""
    settings = workshop.settings
    policy = Policy(
        flow_id=settings.genesys.flow_id or "",
        max_age_seconds=settings.attributes.max_age_seconds,
        rules=rules_of(settings.attributes),
    )
    analytics = settings.webhooks.analytics_webhook_url
    return InjectAttributes(
        crm=await build_crm(workshop),
        genesys=genesys.attributes,
        policy=policy,
        analytics=await build_webhook(workshop, "analytics_webhook", analytics),
        now=now,
    )


async def build_crm(workshop: Workshop) -> Crm:
    """Return the CRM, with its cache and its guard."""
    settings = workshop.settings.crm
    url = str(settings.api_endpoint)
    limits = HttpLimits(
        total_seconds=settings.timeout_seconds, connections=workshop.settings.sqs.concurrency
    )
    http = HttpClient("crm", origin_of("CRM_API_ENDPOINT", url), limits)
    await workshop.stack.enter_async_context(http)
    cache: Cache[bytes, Record] = Cache(
        "crm", CachePolicy(**workshop.settings.cache.model_dump()), random=workshop.random
    )
    guard = workshop.upstreams.http("crm", settings.attempts, settings.deadline_seconds)
    token = settings.api_token.get_secret_value() if settings.api_token else None
    return Crm(url, http, guard, cache, token=token, cache_by=settings.cache_by)
