"""Voice enrichment: a voice score becomes a record in DynamoDB that knows the customer."""

from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import model_validator

from worker.api import (
    ClientLimits,
    ConfigurationError,
    Context,
    EventType,
    GenesysClients,
    Globs,
    Job,
    JobSettings,
    Seconds,
    utc_text,
)
from worker.jobs.voice.customers import CustomerAction, Customers
from worker.jobs.voice.events import VoiceScored, from_platform, from_reference
from worker.jobs.voice.handler import EnrichVoice
from worker.jobs.voice.records import VoiceRecords

SENTIMENT = "v2.speechandtextanalytics.conversation.{id}.sentiment"
ENDED = "v2.detail.events.conversation.{id}.customer.end"
WRAPPED_UP = "v2.detail.events.conversation.{id}.acw"
"""Topics that it can live on: of a score, or of an end after which the score is asked for."""

FLAT = ("voice.analytics", "Voice Analytics*")


class VoiceSettings(JobSettings):
    """Voice enrichment."""

    genesys_action_id: str | None = None
    """Data action that knows the customer behind a phone number."""

    dynamodb_table: str | None = None
    """Table of the voice records: `conversationId` (S) and `eventTimestamp` (S)."""

    dynamodb_retention_seconds: Seconds | None = None
    """Sets `expiresAt` (TTL) that long after the write. Unset: records stay."""

    voice_degrade_after_seconds: Seconds | None = None
    """Age of an event after which its record is written without customer data while the data
    action is down. Unset: it waits, and is retried."""

    voice_from: Literal["sentiment", "ended"] = "sentiment"
    """What brings a voice score: the sentiment topic, or the end of a call, after which speech
    analytics is asked. `ended` is for where the topic does not travel on EventBridge; the types in
    EVENTS_VOICE_TYPES are then `customer.end` unless they are set (`acw` will do)."""

    voice_settle_seconds: Seconds = 1800
    """With VOICE_FROM=ended: age of an event from which a call without a score is taken for one
    that gets none."""

    voice_input_field: str = "phone_number"
    """Name of the data action's input that takes the phone number."""

    voice_tier_field: str = "tier"
    """Name of the data action's output that holds the customer tier."""

    voice_ltv_field: str = "ltv"
    """Name of the data action's output that holds the lifetime value."""

    events_voice_types: Globs = (SENTIMENT.replace("{id}", "*"), *FLAT)
    """Types read as VoiceScored."""

    @model_validator(mode="before")
    @classmethod
    def _types_of_the_source(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("voice_from") != "ended":
            return given
        return {"events_voice_types": (ENDED.replace("{id}", "*"), *FLAT), **given}


async def build(context: Context, settings: VoiceSettings) -> EnrichVoice:
    """Return the handler, its table and its customers."""
    genesys = await context.genesys()
    if settings.voice_from == "ended" and "transcripts" not in genesys.dialect.features:
        raise ConfigurationError(["VOICE_FROM: ended: only the platform can be asked for a score"])
    return EnrichVoice(
        caller=genesys.conversations.caller,
        customers=_customers(context, settings, genesys),
        records=await _records(context, settings),
        now=context.now,
        score=genesys.scores.of_conversation,
        settle_seconds=settings.voice_settle_seconds,
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


def _needs(settings: VoiceSettings) -> list[str]:
    """Return what no score can be recorded without; with `ended`, where it is asked for, too."""
    asked = ["login", "speech"] if settings.voice_from == "ended" else []
    return ["dynamodb", *asked]


def _topics(settings: VoiceSettings) -> list[str]:
    known = [ENDED, WRAPPED_UP] if settings.voice_from == "ended" else [SENTIMENT]
    globs = settings.events_voice_types
    return [topic for topic in known if any(fnmatchcase(topic, glob) for glob in globs)]


SCORE = {
    "GET /api/v2/speechandtextanalytics/conversations/{conversationId}": (
        "recording:recording:view and speechAndTextAnalytics:data:view"
    )
}


def _permissions(settings: VoiceSettings) -> dict[str, str]:
    return {
        "POST /api/v2/integrations/actions/{actionId}/execute": (
            "integrations:action:execute or bridge:actions:execute"
        ),
        "GET /api/v2/conversations/{conversationId}": "conversation:communication:view",
        **(SCORE if settings.voice_from == "ended" else {}),
    }


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
    needs=_needs,
    may_miss=("login", "data_action", "conversations"),
    topics=_topics,
    without_topics="set VOICE_FROM=ended: the score is asked for after the end of a call",
    permissions=_permissions,
    # For `worker backfill`.
    optional_permissions={
        "POST /api/v2/analytics/conversations/details/query": (
            "analytics:conversationDetail:view or analytics:agentConversationDetail:view"
        ),
        **SCORE,
    },
    aws_services=("dynamodb",),
    aws_actions={"dynamodb:Query": "DYNAMODB_TABLE", "dynamodb:PutItem": "DYNAMODB_TABLE"},
    proof="sink",
    degrade_after="voice_degrade_after_seconds",
    waits=("voice_degrade_after_seconds", "voice_settle_seconds"),
    effects=lambda event: {"item": f"{event.conversation_id} {utc_text(event.origin.occurred_at)}"},
    checks={
        "DynamoDB table": "worker.jobs.voice.checks:check_table",
        "Genesys data action": "worker.jobs.voice.checks:check_action",
    },
    trace="worker.jobs.voice.checks:trace",
    backfill="worker.jobs.voice.checks:backfill",
    demo="worker.jobs.voice.demo:demo",
)
