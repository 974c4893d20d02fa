"""Chat sentiment: forwarded to the event bus and the CRM; severe ones raise an alert."""

from decimal import Decimal

from worker.api import Context, EventType, Job, OncePerKey
from worker.jobs.sentiment.events import ChatScored, from_platform, from_reference
from worker.jobs.sentiment.handler import (
    ESCALATED,
    FORWARDED,
    SOURCE,
    ForwardChatSentiment,
    Mark,
    Sinks,
)
from worker.jobs.sentiment.rules import SentimentRules, forwarding_id
from worker.jobs.sentiment.settings import SentimentSettings


async def build(context: Context, settings: SentimentSettings) -> ForwardChatSentiment:
    """Return the handler, its source of sentiment and its sinks."""
    return ForwardChatSentiment(
        sentiment=(await context.genesys()).sentiment,
        rules=SentimentRules(
            # Through repr: the setting's digits, not the float's binary tail.
            min_confidence=Decimal(repr(settings.sentiment_min_confidence)),
            escalation_threshold=Decimal(repr(settings.sentiment_escalation_threshold)),
        ),
        sinks=await _sinks(context, settings),
        now=context.now,
        settle_seconds=settings.sentiment_settle_seconds,
        mark=mark_of(settings, (await context.genesys()).dialect.name),
    )


def mark_of(settings: SentimentSettings, dialect: str) -> Mark:
    """Return when a conversation is given its forwarding's id."""
    if not settings.sentiment_mark:
        return Mark.NEVER
    return Mark.FIRST if dialect == "reference" else Mark.LAST


async def _sinks(context: Context, settings: SentimentSettings) -> Sinks:
    return Sinks(
        set_attributes=(await context.genesys()).attributes.set_conversation_attributes,
        bus=await context.event_bus(),
        crm=await context.webhook("crm_webhook", settings.crm_webhook_url),
        alert=await context.webhook("alert_webhook", settings.alert_webhook_url),
        once_per_key=OncePerKey(),
    )


SPOKEN = "/api/v2/speechandtextanalytics/conversations/{conversationId}"
READ_SPEECH = "recording:recording:view and speechAndTextAnalytics:data:view"


def _needs(settings: SentimentSettings) -> list[str]:
    """Return what no chat can be forwarded without: where its sentiment comes from, the sinks."""
    hook = ["crm_webhook"] if settings.crm_webhook_url else []
    return ["login", "analytics", "speech", "transcripts", "events", *hook]


JOB = Job(
    name="sentiment",
    summary="forwards the sentiment of chats to EventBridge and the CRM, and alerts",
    events=(
        EventType(
            kind=ChatScored,
            types="events_chat_types",
            platform=from_platform,
            reference=from_reference,
        ),
    ),
    settings=SentimentSettings,
    build=build,
    requires=("CRM_WEBHOOK_URL",),
    needs=_needs,
    may_miss=("conversations",),
    topics=("v2.detail.events.conversation.{id}.customer.end",),
    permissions={
        "GET /api/v2/analytics/conversations/details": (
            "analytics:conversationDetail:view or analytics:agentConversationDetail:view"
        ),
        f"GET {SPOKEN}": READ_SPEECH,
        f"GET {SPOKEN}/communications/{{communicationId}}/transcripturl": READ_SPEECH,
    },
    # For the mark, which is best effort.
    optional_permissions={
        "GET /api/v2/conversations/{conversationId}": "conversation:communication:view",
        "PATCH /api/v2/conversations/{conversationId}/participants/{participantId}/attributes": "",
    },
    aws_services=("events",),
    aws_actions={"events:PutEvents": "EVENT_BUS_NAME"},
    waits=("sentiment_settle_seconds",),
    bus_events=((SOURCE, FORWARDED), (SOURCE, ESCALATED)),
    effects=lambda event: {"forwardingId": forwarding_id(event)},
    without_backfill=(
        "its sinks know a chat by the time of its event, which analytics does not have: a late "
        "original would be forwarded once more; replay the archive of the bus"
    ),
    trace="worker.jobs.sentiment.handler:trace",
    webhooks=("crm_webhook_url", "alert_webhook_url"),
)
