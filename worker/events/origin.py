"""An event, and where it came from."""

from datetime import datetime

from worker.events.record import Record


class Origin(Record, frozen=True, kw_only=True):
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

    organization_id: str | None = None
    """Genesys organization that the event's `source` names, in lower case; None when it names
    none."""


class Event(Record, frozen=True, kw_only=True):
    """What a job acts on: each job has classes of its own, that add what it needs to know."""

    origin: Origin
    conversation_id: str | None = None
    """The conversation it is about; None when it is about none."""
