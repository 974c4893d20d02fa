"""Settings of chat sentiment forwarding."""

from typing import Annotated

from pydantic import Field

from worker.api import Globs, JobSettings, Seconds, Url


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
