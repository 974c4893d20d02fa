"""An event, where it came from, how a copy of it is recognised, how its work ended, and a lost one.

Times and phone numbers are in their normal forms here, as keys are made of them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, ClassVar, Literal, Protocol

from msgspec import Struct, to_builtins

from worker.errors import Permanent
from worker.events.envelope import Envelope


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """A frozen value, equal and hashable by its fields, made in a fifth of a dataclass's time.

    Without the garbage collector: a record holds texts, numbers, times and other records, so none
    can be part of a cycle. A copy with changes: `msgspec.structs.replace`.
    """

    unshown: ClassVar[frozenset[str]] = frozenset()
    """Fields that stay out of `repr`, and so out of tracebacks."""

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in self.unshown)
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})"


class Origin(Record, frozen=True, kw_only=True):
    """Where an event came from, and how a second copy of it is recognised."""

    unshown = frozenset({"identity"})

    event_id: str
    """`id` of the EventBridge envelope (`aws:EventId` on the 2026 custom bus); the dedupe key for a
    bare `detail`, which has none."""

    detail_type: str
    """`detail-type`, with a literal `{id}` where Genesys writes one."""

    identity: str
    """What the event has in common with its re-sends alone, whatever its envelope id: a text of any
    length, of which `dedupe_key` is the hash."""

    occurred_at: datetime
    """The event's own time, in UTC: never the time of receipt."""

    correlation_id: str | None = None
    """`detail.metadata.CorrelationId`: what Genesys support asks for."""

    replayed: bool = False
    """True when the bus says that the event comes from an archive replay."""

    organization_id: str | None = None
    """Genesys organization that the event's `source` names, in lower case; None when it names
    none."""

    @property
    def dedupe_key(self) -> str:
        """SHA-256, hex: the same for every re-send of the event, whatever its envelope id.

        Made when it is asked for: a job whose sink knows copies by itself never does.
        """
        return _key(self.identity)


class Event(Record, frozen=True, kw_only=True):
    """What a job acts on: each job has classes of its own, that add what it needs to know."""

    origin: Origin
    conversation_id: str | None = None
    """The conversation it is about; None when it is about none."""


class Result(StrEnum):
    """The label of a finished run in metrics and logs."""

    OK = "ok"
    DEGRADED = "degraded"
    """Done with less than wanted: stale or missing customer data."""

    DUPLICATE = "duplicate"
    """Nothing to do: the effect was there already, or a newer one is."""

    SKIPPED = "skipped"
    """Not wanted, by a rule of the job itself."""

    EXPIRED = "expired"
    """Too old to matter; dropped on purpose."""


class Interval(Struct, frozen=True):
    """What `worker backfill` is asked for: conversations that ended in it. Aware, in UTC."""

    start: datetime
    end: datetime
    """The first instant that is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An event that had no effect: `worker backfill` sends one in its place.

    It must mean to the job what the lost one would have meant, so that of the two the later is a
    duplicate, whichever that is; and it should interest no other job.
    """

    key: str
    """The same for each run that finds it, and no other's of this job."""

    conversation_id: str
    detail_type: str
    detail: Mapping[str, Any] = field(repr=False)
    time: datetime
    """The event's own, aware."""


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


def _key(identity: str) -> str:
    return sha256(identity.encode()).hexdigest()


def origin(envelope: Envelope, occurred_at: datetime, subject: str) -> Origin:
    """Make the origin of an event, unique by `subject` within its `detail-type`.

    Genesys re-sends for days and EventBridge may then mint a new id, so the id is no part of the
    key unless the caller has nothing better. The organization is: two may use one conversation id.
    """
    kind, organization = envelope.detail_type, envelope.organization_id
    scope = kind if organization is None else f"{kind}@{organization}"
    identity = f"{scope}|{subject}"
    return Origin(
        event_id=envelope.id or _key(identity),
        detail_type=kind,
        identity=identity,
        occurred_at=occurred_at,
        correlation_id=envelope.correlation_id,
        replayed=envelope.replayed,
        organization_id=organization,
    )


def sent_at(envelope: Envelope) -> datetime:
    """Return the envelope's time; Permanent when there is none: now would be an invention."""
    sent = envelope.time
    if sent is None:
        raise Permanent("time: missing, or not a time")
    return sent


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


Handler = Callable[[Any], Awaitable[Result]]
"""Works on one event and returns what it did, or raises Transient (the message comes back), NotYet
(the data is not there yet) or Permanent (it is dead-lettered with the reason); it knows no SQS."""

Proof = Literal["sink", "store"]
"""What proves that an event was worked on. `store`: the idempotency store. `sink`: the effect
itself, as its key is the event's (a conditional write, an execution's name), which then needs
neither a claim nor a completion."""


class Once(Protocol):
    """Runs what a job did not do for a key yet, in any worker, by the idempotency store.

    Without LEDGER_TABLE each process remembers for itself.
    """

    def __call__(
        self,
        key: str,
        run: Callable[[], Awaitable[Result]],
        *,
        conversation_id: str | None = None,
    ) -> Awaitable[Result]:
        """Return what `run` returned, or DUPLICATE. `conversation_id`: for `worker trace`.

        Raises Transient while another worker is at it, or the store does not answer; else whatever
        `run` raises: the next may try at once then.
        """
