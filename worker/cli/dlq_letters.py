"""Dead letters as an operator asks for them: why, whose, since when. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from worker.clients.aws.sqs import Message
from worker.intake.body_encoding import RECORD_ATTRIBUTE, DecodedBody, decode_body

MOVED = "moved-by-sqs"
MOVED_REASON = "moved by SQS (maxReceiveCount)"
FOREIGN = "no-record"
FOREIGN_REASON = "no failure record: not sent by this worker"
UNREADABLE = "unreadable"

_AGE = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class NotDecoded(Exception):
    """The record says how body and attributes are encoded, and they are not."""

    code = "BodyNotDecoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message of the dead-letter queue, and what its failure record says."""

    message: Message
    reason: str
    fingerprint: str
    error_class: str | None = None
    job: str | None = None
    queue_url: str | None = None
    """The queue it was taken from, as the record says."""

    first_failure: datetime | None = None
    last_failure: datetime | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    """The whole of `worker.failure`."""

    def original(self) -> DecodedBody:
        """Return body and attributes as they were on the queue. Raises NotDecoded."""
        try:
            return decode_body(self.message.body, self.message.attributes, self.record)
        except ValueError:
            raise NotDecoded from None

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
    job: str | None = None
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
        if self.job not in (None, letter.job):
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
    jobs: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    """Names of the queues that the letters were taken from."""

    first_failure: datetime | None = None
    last_failure: datetime | None = None

    def add(self, letter: DeadLetter) -> None:
        """Count a letter."""
        self.count += 1
        if letter.job is not None:
            self.jobs.add(letter.job)
        if (queue := letter.queue_url or letter.message.moved_from) is not None:
            self.queues.add(name_of(queue))
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
            "jobs": sorted(self.jobs),
            "queues": sorted(self.queues),
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
    """Return the message with its reason.

    The record may be any sender's text, so nothing in it is trusted. SQS itself moves messages
    without a record, and says from where.
    """
    if RECORD_ATTRIBUTE not in message.attributes:
        if message.moved_from:
            return DeadLetter(message=message, reason=MOVED_REASON, fingerprint=MOVED)
        return DeadLetter(message=message, reason=FOREIGN_REASON, fingerprint=FOREIGN)
    record = _record_of(message)
    return DeadLetter(
        message=message,
        reason=_text(record, "reason") or f"{RECORD_ATTRIBUTE} cannot be read",
        fingerprint=_text(record, "fingerprint") or UNREADABLE,
        error_class=_text(record, "errorClass"),
        job=_text(record, "job") or _text(record, "handler"),
        queue_url=_text(record, "queue") or None,
        first_failure=_time(record, "firstFailure"),
        last_failure=_time(record, "lastFailure"),
        record=record,
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


def name_of(queue: str) -> str:
    """Return the name of a queue from its URL or ARN."""
    return queue.rpartition("/")[2].rpartition(":")[2]


def _record_of(message: Message) -> Mapping[str, Any]:
    try:
        record = orjson.loads(message.attributes[RECORD_ATTRIBUTE].get("StringValue", ""))
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _text(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return value if isinstance(value, str) else None


def _time(record: Mapping[str, Any], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(record, name) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
