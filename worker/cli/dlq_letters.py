"""Dead letters as an operator asks for them: why, whose, since when. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from worker.clients.aws.sqs_replies import Message
from worker.intake.dead_letters import ATTRIBUTE
from worker.intake.packing import ENCODING, unpacked

MOVED = "moved-by-sqs"
MOVED_REASON = "moved by SQS (maxReceiveCount)"
FOREIGN = "no-note"
FOREIGN_REASON = "no note: sent by somebody else"
UNREADABLE = "unreadable"

_AGE = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class NotUnpacked(Exception):
    """The note says that the body is packed, and it is not."""

    code = "BodyNotUnpacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message of the dead-letter queue, and what its note says."""

    message: Message
    reason: str
    fingerprint: str
    error_class: str | None = None
    handler: str | None = None
    first_failure: datetime | None = None
    last_failure: datetime | None = None
    note: Mapping[str, Any] = field(default_factory=dict)
    """The whole of `worker.failure`."""

    def original_body(self) -> str:
        """Return the body as it was before it was parked. Raises NotUnpacked."""
        if self.note.get("bodyEncoding") != ENCODING:
            return self.message.body
        try:
            return unpacked(self.message.body)
        except ValueError:
            raise NotUnpacked from None

    @property
    def sent_at(self) -> datetime | None:
        """When it came to this queue; what SQS moved kept the time it was first sent."""
        sent_at = self.message.sent_at
        return None if sent_at is None else datetime.fromtimestamp(sent_at, UTC)

    @property
    def failed_at(self) -> datetime | None:
        """When it failed last; for what SQS moved, when it was first sent."""
        return self.last_failure or self.sent_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant; what is None asks for nothing."""

    reason: str | None = None
    """Part of the reason, in any case."""

    fingerprint: str | None = None
    handler: str | None = None
    failed_before: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every dead letter is meant."""
        return self == Filter()

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is meant: by all that is asked for."""
        if self.reason is not None and self.reason.lower() not in letter.reason.lower():
            return False
        if self.fingerprint not in (None, letter.fingerprint):
            return False
        if self.handler not in (None, letter.handler):
            return False
        if self.failed_before is None:
            return True
        return letter.failed_at is not None and letter.failed_at < self.failed_before


@dataclass(slots=True)
class Cause:
    """Dead letters of one reason and fingerprint."""

    fingerprint: str
    reason: str
    error_class: str | None
    count: int = 0
    handlers: Counter[str] = field(default_factory=Counter)
    first_failure: datetime | None = None
    last_failure: datetime | None = None

    def add(self, letter: DeadLetter) -> None:
        """Count a letter."""
        self.count += 1
        if letter.handler is not None:
            self.handlers[letter.handler] += 1
        first, last = letter.first_failure or letter.failed_at, letter.failed_at
        if first and (self.first_failure is None or first < self.first_failure):
            self.first_failure = first
        if last and (self.last_failure is None or last > self.last_failure):
            self.last_failure = last

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "fingerprint": self.fingerprint,
            "reason": self.reason,
            "errorClass": self.error_class,
            "handlers": sorted(self.handlers),
            "count": self.count,
            "firstFailure": iso(self.first_failure),
            "lastFailure": iso(self.last_failure),
        }


class Causes:
    """Dead letters counted by cause; grows with the causes, not with the letters."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, str], Cause] = {}

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Count letters."""
        for letter in letters:
            key = (letter.fingerprint, letter.reason)
            cause = self._causes.setdefault(key, Cause(*key, letter.error_class))
            cause.add(letter)

    def most_first(self) -> list[Cause]:
        """Return the causes, those of most letters first."""
        return sorted(self._causes.values(), key=lambda one: (-one.count, one.reason))

    @property
    def total(self) -> int:
        """How many letters were counted."""
        return sum(cause.count for cause in self._causes.values())


def read_letter(message: Message) -> DeadLetter:
    """Return the message with its reason; a note is somebody's text, so nothing in it is trusted.

    SQS itself moves messages without a note, and says from where.
    """
    if ATTRIBUTE not in message.attributes:
        if message.moved_from:
            return DeadLetter(message=message, reason=MOVED_REASON, fingerprint=MOVED)
        return DeadLetter(message=message, reason=FOREIGN_REASON, fingerprint=FOREIGN)
    note = _note_of(message)
    return DeadLetter(
        message=message,
        reason=_text(note, "reason") or f"{ATTRIBUTE} cannot be read",
        fingerprint=_text(note, "fingerprint") or UNREADABLE,
        error_class=_text(note, "errorClass"),
        handler=_text(note, "job") or _text(note, "handler"),
        first_failure=_time(note, "firstFailure"),
        last_failure=_time(note, "lastFailure"),
        note=note,
    )


def age_seconds(text: str) -> int:
    """Return the seconds of an age such as 90s, 30m, 2h, 1d. Raises ValueError."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise ValueError("not an age such as 30m, 2h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def iso(moment: datetime | None) -> str | None:
    """Return the moment as text."""
    return None if moment is None else moment.isoformat(timespec="seconds")


def _note_of(message: Message) -> Mapping[str, Any]:
    try:
        note = orjson.loads(message.attributes[ATTRIBUTE].get("StringValue", ""))
    except orjson.JSONDecodeError:
        return {}
    return note if isinstance(note, dict) else {}


def _text(note: Mapping[str, Any], name: str) -> str | None:
    value = note.get(name)
    return value if isinstance(value, str) else None


def _time(note: Mapping[str, Any], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(note, name) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
