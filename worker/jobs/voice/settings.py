"""Settings of voice enrichment."""

from typing import Any, Literal

from pydantic import model_validator

from worker.api import Globs, JobSettings, Seconds

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
