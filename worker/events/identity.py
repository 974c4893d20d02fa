"""How a second copy of an event is recognised; times and phone numbers in their normal forms."""

import re
from datetime import UTC, datetime
from hashlib import sha256

from msgspec import to_builtins

from worker.errors import Permanent
from worker.events.envelope import Envelope
from worker.events.origin import Origin


def utc_text(moment: datetime) -> str:
    """Write milliseconds and `Z`, always: a repeat of an effect must be byte-equal.

    So the order of such texts is the order of time, too.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_SEPARATORS = re.compile(r"[\s().-]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NUMBER = re.compile(r"[+(]*[0-9][0-9\s()./#*-]{1,63}")


def e164(address: str | None) -> str | None:
    """Return the E.164 number an address certainly is, else None.

    A number without `+` is not certain: `00` is an international prefix in most countries only,
    and a national number has no country. `sip:+15550100001@host` is one; `sip:bob@host` and
    `anonymous` are none.
    """
    number = _SEPARATORS.sub("", _written(address))
    return number if _E164.fullmatch(number) else None


def number_as_written(address: str | None) -> str | None:
    """Return the digits of an address with what stands between them, E.164 or not; else None."""
    number = _written(address)
    return number if _NUMBER.fullmatch(number) else None


def _written(address: str | None) -> str:
    """Return what an address names, without scheme, host and parameters (RFC 3966, RFC 3261)."""
    text = (address or "").strip().partition(";")[0]
    scheme, _, rest = text.partition(":")
    if scheme.lower() in {"sip", "sips"}:
        return rest.partition("@")[0]
    return rest if scheme.lower() == "tel" else text


def origin(envelope: Envelope, occurred_at: datetime, subject: str) -> Origin:
    """Make the origin of an event, unique by `subject` within its `detail-type`.

    Genesys re-sends for days and EventBridge may then mint a new id, so the id is no part of the
    key unless the caller has nothing better. The organization is: two may use one conversation id.
    """
    kind, organization = envelope.detail_type, envelope.organization_id
    scope = kind if organization is None else f"{kind}@{organization}"
    key = sha256(f"{scope}|{subject}".encode()).hexdigest()
    return Origin(
        event_id=envelope.id or key,
        detail_type=kind,
        dedupe_key=key,
        occurred_at=occurred_at,
        correlation_id=envelope.correlation_id,
        replayed=envelope.replayed,
        organization_id=organization,
    )


def sent_at(envelope: Envelope) -> datetime:
    """Return the envelope's time; Permanent when there is none: now would be an invention."""
    if envelope.time is None:
        raise Permanent("time: missing")
    return envelope.time


def timed(envelope: Envelope, own: datetime | None, subject: str) -> Origin:
    """Make the origin of an event by its own time, or else by the envelope's id and time."""
    if own is not None:
        return origin(envelope, own, f"{subject}|{iso(own)}")
    sent = sent_at(envelope)
    return origin(envelope, sent, f"{subject}|{envelope.id or iso(sent)}")


def iso(moment: datetime) -> str:
    """Return what `isoformat` gives for a moment in UTC, in a quarter of its time."""
    text: str = to_builtins(moment)
    return f"{text[:-1]}+00:00"
