"""Wires each handler to the event it wants: the list of what this worker does."""

from datetime import UTC, datetime

from worker.app.genesys import GenesysParts
from worker.app.workshop import Workshop
from worker.clients.aws.records import VoiceRecords
from worker.clients.aws.session import ClientLimits
from worker.clients.customers import CustomerAction, Customers
from worker.domain.customer import Customer
from worker.events.types import VoiceScored
from worker.handlers.voice_enrichment import EnrichVoice
from worker.intake.router import Router
from worker.resilience.cache import Cache, CachePolicy


async def build_router(workshop: Workshop, genesys: GenesysParts | None) -> Router:
    """Return the routes of all handlers that are on."""
    router = Router()
    enabled = workshop.settings.enabled_handlers()
    if "voice" in enabled and genesys:
        router.on(VoiceScored, "voice", await _voice(workshop, genesys))
    return router


async def _voice(workshop: Workshop, genesys: GenesysParts) -> EnrichVoice:
    settings = workshop.settings
    action = CustomerAction(
        id=settings.genesys.action_id or "",
        input_field=settings.voice.input_field,
        tier_field=settings.voice.tier_field,
        ltv_field=settings.voice.ltv_field,
    )
    cache: Cache[bytes, Customer] = Cache(
        "customers", CachePolicy(**settings.cache.model_dump()), random=workshop.random
    )
    limits = ClientLimits(pool=settings.sqs.concurrency, read_seconds=3, attempts=4)
    records = VoiceRecords(
        await workshop.aws_client("dynamodb", limits),
        settings.dynamodb.table or "",
        workshop.guards.aws("dynamodb"),
        settings.dynamodb.retention_seconds,
        _now,
    )
    return EnrichVoice(
        customer_address=genesys.client.customer_address,
        customers=Customers(genesys.client.execute_data_action, action, cache),
        records=records,
        now=_now,
        degrade_after_seconds=settings.voice.degrade_after_seconds,
    )


def _now() -> datetime:
    return datetime.now(UTC)
