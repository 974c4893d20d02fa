"""Builds voice enrichment."""

from worker.app.genesys import GenesysParts
from worker.app.workshop import Workshop, now
from worker.clients.aws.records import VoiceRecords
from worker.clients.aws.session import ClientLimits
from worker.clients.customers import CustomerAction, Customers
from worker.domain.customer import Customer
from worker.handlers.voice_enrichment import EnrichVoice
from worker.resilience.cache import Cache, CachePolicy


async def build(workshop: Workshop, genesys: GenesysParts) -> EnrichVoice:
    """Return the handler, its table and its customers."""
    settings = workshop.settings
    return EnrichVoice(
        customer_address=genesys.conversations.customer_address,
        customers=_customers(workshop, genesys),
        records=await _records(workshop),
        now=now,
        degrade_after_seconds=settings.voice.degrade_after_seconds,
    )


def _customers(workshop: Workshop, genesys: GenesysParts) -> Customers:
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
    return Customers(genesys.actions.execute_data_action, action, cache)


async def _records(workshop: Workshop) -> VoiceRecords:
    settings = workshop.settings
    limits = ClientLimits(pool=settings.sqs.concurrency, read_seconds=3, attempts=4)
    return VoiceRecords(
        await workshop.aws_client("dynamodb", limits),
        settings.dynamodb.table or "",
        workshop.upstreams.aws("dynamodb"),
        settings.dynamodb.retention_seconds,
        now,
    )
