"""Settings of the queue, of retries and of what its messages mean."""

from typing import Annotated, Literal

from pydantic import Field

from worker.settings.fields import Globs, Group, Seconds, Url, group


class Sqs(Group):
    """The queue and how it is worked off."""

    model_config = group("SQS_")

    queue_url: Url
    """URL of the queue the events arrive on."""

    dead_letter_queue_url: Url | None = None
    """URL of the queue for parked messages. Unset: nothing is parked, such messages stay."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 64
    """Messages handled at once."""

    wait_seconds: Annotated[int, Field(ge=0, le=20)] = 10
    """Length of a long poll. Part of the shutdown time: a running poll is never cut."""

    visibility_seconds: Annotated[int, Field(ge=10, le=43200)] | None = None
    """Visibility timeout of what we receive. Unset: the queue's own, read at start."""

    drain_seconds: Seconds = 25
    """Seconds given to messages in hand after SIGTERM; keep below the platform's kill time."""

    park_limit: Annotated[int, Field(ge=1)] = 50
    """Messages parked within a minute beyond which, if they are most of all, intake pauses: a bad
    deploy must not park everything."""

    ack_flush_milliseconds: Annotated[int, Field(ge=0, le=1000)] = 100
    """How long a delete waits for nine others to share its call."""


class Retry(Group):
    """When a message that failed comes back."""

    model_config = group("RETRY_")

    base_seconds: Seconds = 5
    """First backoff; doubled per attempt, with full jitter."""

    cap_seconds: Annotated[Seconds, Field(le=43200)] = 900
    """Longest backoff of our own choice; an upstream's Retry-After may be longer."""

    horizon_seconds: Seconds = 21600
    """Age of a message (since it was sent to SQS) at which a failure parks it."""


class Handler(Group):
    """Limits of one run of a handler."""

    model_config = group("HANDLER_")

    deadline_seconds: Seconds = 60
    """Time for all handlers of one message; then they are cancelled and the message retried."""


class Events(Group):
    """Which `detail-type` is which event (globs, comma separated)."""

    model_config = group("EVENTS_")

    unrouted: Literal["drop", "park"] = "drop"
    """What happens to a type no handler wants."""

    voice_types: Globs = (
        "v2.speechandtextanalytics.conversation.*.sentiment",
        "voice.analytics",
        "Voice Analytics*",
    )
    """Types read as VoiceScored."""

    ended_types: Globs = ("v2.detail.events.conversation.*.customer.end", "conversation.end")
    """Types read as ConversationEnded."""

    attributes_types: Globs = (
        "v2.detail.events.conversation.*.customer.start",
        "conversation.start",
        "conversation.attributes.requested",
    )
    """Types read as AttributesWanted."""

    chat_types: Globs = (
        "v2.detail.events.conversation.*.customer.end",
        "chat.sentiment",
        "conversation.chat.sentiment",
    )
    """Types read as ChatScored; in platform form only with media type CHAT or MESSAGE."""

    report_types: Globs = ("report.due", "Scheduled Event")
    """Types read as ReportDue."""
