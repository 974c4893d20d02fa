"""Voice enrichment: a voice score becomes a record in DynamoDB that knows the customer."""

from worker.api import ClientLimits, Context, EventType, GenesysClients, Job, utc_text
from worker.jobs.voice.customers import CustomerAction, Customers
from worker.jobs.voice.events import VoiceScored, from_platform, from_reference
from worker.jobs.voice.handler import EnrichVoice
from worker.jobs.voice.records import VoiceRecords
from worker.jobs.voice.settings import VoiceSettings


async def build(context: Context, settings: VoiceSettings) -> EnrichVoice:
    """Return the handler, its table and its customers."""
    genesys = await context.genesys()
    return EnrichVoice(
        caller=genesys.conversations.caller,
        customers=_customers(context, settings, genesys),
        records=await _records(context, settings),
        now=context.now,
        degrade_after_seconds=settings.voice_degrade_after_seconds,
    )


def _customers(context: Context, settings: VoiceSettings, genesys: GenesysClients) -> Customers:
    action = CustomerAction(
        id=settings.genesys_action_id or "",
        input_field=settings.voice_input_field,
        tier_field=settings.voice_tier_field,
        ltv_field=settings.voice_ltv_field,
    )
    return Customers(genesys.actions.execute_data_action, action, context.cache("customers"))


async def _records(context: Context, settings: VoiceSettings) -> VoiceRecords:
    limits = ClientLimits(pool=context.concurrency, read_seconds=3, attempts=4)
    dynamodb = await context.aws("dynamodb", limits, setting="DYNAMODB_TABLE")
    return VoiceRecords(
        dynamodb,
        settings.dynamodb_table or "",
        settings.dynamodb_retention_seconds,
        context.now,
    )


JOB = Job(
    name="voice",
    summary="enriches voice sentiment with the customer and writes it to DynamoDB",
    events=(
        EventType(
            kind=VoiceScored,
            types="events_voice_types",
            platform=from_platform,
            reference=from_reference,
        ),
    ),
    settings=VoiceSettings,
    build=build,
    requires=("GENESYS_ACTION_ID", "DYNAMODB_TABLE"),
    needs=("dynamodb",),
    may_miss=("login", "data_action", "conversations"),
    topics=("v2.speechandtextanalytics.conversation.{id}.sentiment",),
    permissions={
        "POST /api/v2/integrations/actions/{actionId}/execute": "integrations:action:execute",
        "GET /api/v2/conversations/{conversationId}": "conversation:communication:view",
    },
    aws_services=("dynamodb",),
    aws_actions={"dynamodb:Query": "DYNAMODB_TABLE", "dynamodb:PutItem": "DYNAMODB_TABLE"},
    proof="sink",
    degrade_after="voice_degrade_after_seconds",
    waits=("voice_degrade_after_seconds",),
    effects=lambda event: {"item": f"{event.conversation_id} {utc_text(event.origin.occurred_at)}"},
    checks={
        "DynamoDB table": "worker.jobs.voice.checks:check_table",
        "Genesys data action": "worker.jobs.voice.checks:check_action",
    },
    demo="worker.jobs.voice.demo:demo",
)
