"""Settings of voice enrichment."""

from worker.api import Globs, JobSettings, Seconds


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

    voice_input_field: str = "phone_number"
    """Name of the data action's input that takes the phone number."""

    voice_tier_field: str = "tier"
    """Name of the data action's output that holds the customer tier."""

    voice_ltv_field: str = "ltv"
    """Name of the data action's output that holds the lifetime value."""

    events_voice_types: Globs = (
        "v2.speechandtextanalytics.conversation.*.sentiment",
        "voice.analytics",
        "Voice Analytics*",
    )
    """Types read as VoiceScored."""
