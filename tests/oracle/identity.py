"""How a second copy of an event is recognised, whatever its envelope's id."""

from datetime import datetime
from hashlib import sha256

from tests.oracle.envelope import Envelope
from tests.oracle.types import Origin
from worker.errors import Permanent


def origin(envelope: Envelope, occurred_at: datetime, *parts: str) -> Origin:
    """Make the origin of an event that `parts` distinguish from all others of its `detail-type`.

    Genesys re-sends for days and EventBridge may then mint a new id, so the id is no part of the
    key unless the caller has nothing better.
    """
    key = sha256("|".join((envelope.detail_type, *parts)).encode()).hexdigest()
    return Origin(
        event_id=envelope.id or key,
        detail_type=envelope.detail_type,
        dedupe_key=key,
        occurred_at=occurred_at,
        correlation_id=envelope.correlation_id,
        replayed=envelope.replayed,
    )


def sent_at(envelope: Envelope) -> datetime:
    """Return the envelope's time; Permanent when there is none: now would be an invention."""
    if envelope.time is None:
        raise Permanent("time: missing")
    return envelope.time


def timed(envelope: Envelope, own: datetime | None, *parts: str) -> Origin:
    """Make the origin of an event by its own time, or else by the envelope's id and time."""
    if own is not None:
        return origin(envelope, own, *parts, own.isoformat())
    sent = sent_at(envelope)
    return origin(envelope, sent, *parts, envelope.id or sent.isoformat())
