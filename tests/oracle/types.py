"""The five events the worker acts on. Nothing behind this module knows which form came in."""

from dataclasses import field
from datetime import datetime
from decimal import Decimal

from tests.oracle.record import record


@record
class Origin:
    """Where an event came from, and how a second copy of it is recognised."""

    event_id: str
    """`id` of the EventBridge envelope (`aws:EventId` on the 2026 custom bus); the dedupe key for a
    bare `detail`, which has none."""

    detail_type: str
    """`detail-type`, with a literal `{id}` where Genesys writes one."""

    dedupe_key: str
    """SHA-256, hex: the same for every re-send of the event, whatever its envelope id."""

    occurred_at: datetime
    """The event's own time, in UTC: never the time of receipt."""

    correlation_id: str | None = None
    """`detail.metadata.CorrelationId`: what Genesys support asks for."""

    replayed: bool = False
    """True when the bus says that the event comes from an archive replay."""


@record
class SpeakerScore:
    """Sentiment of one speaker."""

    id: str
    score: Decimal


@record
class VoiceScored:
    """The sentiment of a voice conversation is known."""

    origin: Origin
    conversation_id: str
    overall: Decimal | None = None
    """-1 to 1; None when the event carries no score: 0 would be a legal neutral one."""

    speakers: tuple[SpeakerScore, ...] = ()
    phone_number: str | None = field(default=None, repr=False)
    """As the event gives it, `tel:` stripped; out of `repr`, so out of tracebacks."""


@record
class ConversationEnded:
    """The customer's side of a conversation is over."""

    origin: Origin
    conversation_id: str
    media_type: str | None = None
    """Lower case, e.g. `voice`, `message`."""


@record
class AttributesWanted:
    """A conversation began and may be given CRM attributes."""

    origin: Origin
    conversation_id: str
    participant_id: str | None = None
    """The customer's participant, when the event names it."""

    phone_number: str | None = field(default=None, repr=False)


@record
class ChatScored:
    """A chat or message conversation ended: its sentiment can be asked for."""

    origin: Origin
    conversation_id: str
    session_id: str | None = None
    """The customer's session that ended, when the event names it; a later one may follow."""

    participant_id: str | None = None


@record
class ReportDue:
    """A report over an interval is wanted."""

    origin: Origin
    name: str
    """Part of the S3 key: letters, digits, `.`, `_`, `-`; at most 64."""

    start: datetime
    end: datetime
    media_type: str | None = None
    queue_ids: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    """Further (dimension, value) pairs; all must match."""

    group_by: tuple[str, ...] = ("mediaType", "queueId")
    timezone: str = "UTC"


Event = VoiceScored | ConversationEnded | AttributesWanted | ChatScored | ReportDue
