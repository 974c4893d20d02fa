"""Builds chat sentiment forwarding."""

from decimal import Decimal

from worker.app.genesys import GenesysParts
from worker.app.webhooks import build_webhook
from worker.app.workshop import Workshop, now
from worker.clients.aws.bus import Bus
from worker.clients.genesys.speech import ChatSentiment, QuerySentiment, TranscriptSentiment
from worker.clients.genesys.transcripts import Transcripts
from worker.clients.http import HttpLimits
from worker.domain.sentiment import SentimentRules
from worker.handlers.chat_sentiment import ForwardChatSentiment, Receivers
from worker.resilience.steps import Steps

TRANSCRIPT_SECONDS = 10
TRANSCRIPT_ATTEMPTS = 2
TRANSCRIPT_DEADLINE_SECONDS = 20


async def build(workshop: Workshop, genesys: GenesysParts, bus: Bus) -> ForwardChatSentiment:
    """Return the handler, its source of sentiment and its receivers."""
    settings = workshop.settings.sentiment
    return ForwardChatSentiment(
        sentiment=_source(workshop, genesys),
        rules=SentimentRules(
            # Through repr: the setting's digits, not the float's binary tail.
            min_confidence=Decimal(repr(settings.min_confidence)),
            escalation_threshold=Decimal(repr(settings.escalation_threshold)),
        ),
        receivers=await _receivers(workshop, genesys, bus),
        now=now,
        settle_seconds=settings.settle_seconds,
    )


def _source(workshop: Workshop, genesys: GenesysParts) -> ChatSentiment:
    if "transcripts" not in genesys.dialect.features:
        return QuerySentiment(genesys.api)
    guard = workshop.upstreams.http("transcripts", TRANSCRIPT_ATTEMPTS, TRANSCRIPT_DEADLINE_SECONDS)
    transcripts = Transcripts(guard, HttpLimits(total_seconds=TRANSCRIPT_SECONDS))
    workshop.stack.push_async_callback(transcripts.aclose)
    return TranscriptSentiment(genesys.api, genesys.details, transcripts)


async def _receivers(workshop: Workshop, genesys: GenesysParts, bus: Bus) -> Receivers:
    settings = workshop.settings
    return Receivers(
        set_attributes=genesys.attributes.set_conversation_attributes,
        bus=bus,
        crm=await build_webhook(workshop, "crm_webhook", settings.crm.webhook_url),
        alert=await build_webhook(workshop, "alert_webhook", settings.alert.webhook_url),
        steps=Steps(),
    )
