"""Chat sentiment: forwarded to the event bus and the CRM; severe ones raise an alert."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from worker.api import Context, EventType, Globs, Job, JobSettings, OncePerKey, Seconds, Url
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


class SentimentSettings(JobSettings):
    """Forwarding of chat sentiment."""

    crm_webhook_url: Url | None = None
    """Notified of forwarded chat sentiment. Unset: it is not."""

    alert_webhook_url: Url | None = None
    """Notified of chats whose negative share is above the threshold. Unset: it is not."""

    sentiment_min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Least confidence of a sentiment that is forwarded."""

    sentiment_escalation_threshold: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Negative share above which an alert is raised."""

    sentiment_settle_seconds: Seconds = 1800
    """Age of an event from which a chat without analysis is taken for one that gets none."""

    sentiment_mark: bool = True
    """Whether a conversation is given the id of its forwarding as an attribute. Best effort, after
    the sinks, as the conversation has ended; in the reference dialect before them."""

    events_chat_types: Globs = (
        "v2.detail.events.conversation.*.customer.end",
        "chat.sentiment",
        "conversation.chat.sentiment",
    )
    """Types read as ChatScored; in platform form only with media type CHAT or MESSAGE."""


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
