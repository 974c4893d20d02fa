"""Reading a dead-letter queue without removing anything from it.

SQS has no read without a receive. So what is read is invisible while the command runs, and made
visible again at its end. After a command that is killed SQS does that, within a minute.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil, inf
from typing import Any
from uuid import UUID

import orjson

from worker.clients.aws import MAX_BATCH, Message, Queue, QueueError
from worker.intake.dead_letters import RECORD_ATTRIBUTE, DecodedBody, decode_body

MOVED = "moved-by-sqs"
MOVED_REASON = "moved by SQS (maxReceiveCount)"
FOREIGN = "no-record"
FOREIGN_REASON = "no failure record: not sent by this worker"
UNREADABLE = "unreadable"

Queues = Sequence[Queue]
"""The dead-letter queues of a worker."""


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

    def is_called(self, name: str) -> bool:
        """Whether that is its fingerprint, its id now or before, or its conversation's id."""
        return name == self.fingerprint or self.has_id(name) or self.is_about(name)

    def has_id(self, message_id: str) -> bool:
        """Whether that is its id, or its id before it was dead-lettered."""
        # Not a set: what another sender wrote may be a list, which no set takes.
        return message_id in (self.message.id, self.record.get("messageId"))

    def is_about(self, conversation_id: str) -> bool:
        """Whether its body names the conversation; False of what is no UUID, or not decoded."""
        try:
            return str(UUID(conversation_id)) in self.original().body.lower()
        except (NotDecoded, ValueError):
            return False

    @property
    def sent_at(self) -> datetime | None:
        """When it came to this queue; what SQS moved kept the time it was first sent."""
        sent_at = self.message.sent_at
        return None if sent_at is None else datetime.fromtimestamp(sent_at, UTC)

    @property
    def failed_at(self) -> datetime | None:
        """When it failed last; for what SQS moved, when it was first sent."""
        return self.last_failure or self.sent_at


@dataclass(slots=True)
class Cause:
    """Dead letters of one reason and fingerprint."""

    fingerprint: str
    reason: str
    error_class: str | None
    count: int = 0
    jobs: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    """Names of the queues that the dead letters were taken from."""

    first_failure: datetime | None = None
    last_failure: datetime | None = None

    def add(self, dead_letter: DeadLetter) -> None:
        """Count a dead letter."""
        self.count += 1
        if dead_letter.job is not None:
            self.jobs.add(dead_letter.job)
        if (queue := dead_letter.queue_url or dead_letter.message.moved_from) is not None:
            self.queues.add(name_of(queue))
        first, last = dead_letter.first_failure or dead_letter.failed_at, dead_letter.failed_at
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
    """Dead letters counted by cause; grows with the causes, not with the dead letters."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, str], Cause] = {}

    def add(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Count dead letters."""
        for dead_letter in dead_letters:
            key = (dead_letter.fingerprint, dead_letter.reason)
            cause = self._causes.setdefault(key, Cause(*key, dead_letter.error_class))
            cause.add(dead_letter)

    def most_first(self) -> list[Cause]:
        """Return the causes, those of most dead letters first."""
        return sorted(self._causes.values(), key=lambda one: (-one.count, one.reason))

    @property
    def total(self) -> int:
        """How many dead letters were counted."""
        return sum(cause.count for cause in self._causes.values())


def read_dead_letter(message: Message) -> DeadLetter:
    """Return the message with its reason.

    The record may be any sender's text, so nothing in it is trusted. SQS itself moves messages
    without a record, and names the queue they come from.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the commands wait, in seconds."""

    receive: int = 1
    """For a receive that finds nothing; a short poll asks only some of SQS's servers, and may find
    nothing by chance."""

    invisible: float = 60
    """Visibility timeout of what is read, extended at half of it."""

    before_delete: float = 0.3
    """Before a delete is tried again; twice that before the last try."""


DEFAULT_TIMING = Timing()


IDLE_RECEIVES = 3
"""Receives without anything new after which the queue counts as read."""

MAX_PARALLEL = 10
"""Batch calls in flight at once."""


@dataclass(slots=True)
class _Held:
    receipt: str
    due: float
    """When to extend its visibility timeout, by the loop's clock."""


class Reader:
    """Returns each message once, and keeps those it returned invisible."""

    def __init__(self, queue: Queue, before: float, timing: Timing) -> None:
        """`before`: what was sent later, in seconds since the epoch, is left out.

        Otherwise a redrive would read again what the worker dead-letters again, for ever.
        """
        self._queue = queue
        self._before = before
        self._timing = timing
        self._held: dict[str, _Held] = {}
        self._done: set[str] = set()
        self.newer = 0
        """Messages left out because they came after the start."""

    async def next(self, at_most: int) -> list[DeadLetter]:
        """Return up to ten more dead letters; none when all are read. Raises QueueError."""
        wanted, idle = min(at_most, MAX_BATCH), 0
        while idle < IDLE_RECEIVES:
            newer = self.newer
            messages = await self._receive(wanted)
            if new := [message for message in messages if self._is_new(message)]:
                return [read_dead_letter(message) for message in new]
            if not messages and not (await self._queue.attributes()).visible:
                break
            # SQS puts messages received three times behind the others: more dead letters may come.
            idle = 0 if self.newer - newer == wanted else idle + 1
        return []

    def forget(self, dead_letter: DeadLetter) -> None:
        """Forget a dead letter that was deleted."""
        self._held.pop(dead_letter.message.id, None)
        # Remembered: a copy that SQS delivers once more must not be moved once more.
        self._done.add(dead_letter.message.id)

    async def keep_invisible(self) -> None:
        """Extend visibility timeouts at their half, for ever: a slow run keeps what it read."""
        while True:
            await asyncio.sleep(self._timing.invisible / 10)
            await self._extend_due()

    async def release(self) -> None:
        """Make visible again all that is still held."""
        receipts = [(held.receipt, 0) for held in self._held.values()]
        self._held.clear()
        await self._change_visibility(receipts)

    async def _receive(self, at_most: int) -> list[Message]:
        receive = asyncio.create_task(
            self._queue.receive(
                at_most,
                wait_seconds=self._timing.receive,
                visibility_seconds=self._visibility_seconds,
            )
        )
        try:
            return await asyncio.shield(receive)
        except asyncio.CancelledError:
            # Never cut: what SQS had returned already would be invisible for a minute.
            for message in await receive:
                self._is_new(message)
            raise

    def _is_new(self, message: Message) -> bool:
        known = message.id in self._held or message.id in self._done
        due = message.received_at + self._timing.invisible / 2
        self._held[message.id] = _Held(message.receipt, due)
        if known:
            return False
        if message.sent_at is not None and message.sent_at >= self._before:
            self.newer += 1
            return False
        return True

    async def _extend_due(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [held for held in self._held.values() if held.due <= now]
        for held in due:
            held.due = now + self._timing.invisible / 2
        await self._change_visibility([(held.receipt, self._visibility_seconds) for held in due])

    async def _change_visibility(self, receipts: Sequence[tuple[str, int]]) -> None:
        permits = asyncio.Semaphore(MAX_PARALLEL)

        async def change(batch: Sequence[tuple[str, int]]) -> None:
            async with permits:
                await self._queue.change_visibility(batch)

        batches = [receipts[i : i + MAX_BATCH] for i in range(0, len(receipts), MAX_BATCH)]
        done = await asyncio.gather(*map(change, batches), return_exceptions=True)
        # A failure costs nothing but time: the message is visible again within a minute.
        for problem in done:
            if isinstance(problem, BaseException) and not isinstance(problem, QueueError):
                raise problem

    @property
    def _visibility_seconds(self) -> int:
        return ceil(self._timing.invisible)


@asynccontextmanager
async def reading(
    queue: Queue, *, before: float = inf, timing: Timing = DEFAULT_TIMING
) -> AsyncIterator[Reader]:
    """Read the queue in the block, and leave it as it was but for what the block deleted."""
    reader = Reader(queue, before, timing)
    keeping = asyncio.create_task(reader.keep_invisible())
    try:
        yield reader
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})  # a late heartbeat would extend what was released
        await reader.release()


async def depth_of(queue: Queue) -> int:
    """Return how many messages SQS says there are, in any state. Raises QueueError."""
    now = await queue.attributes()
    return now.visible + now.in_flight + now.delayed


async def samples(queues: Queues, name: str, *, count: int, timing: Timing) -> list[DeadLetter]:
    """Return dead letters of that fingerprint, message id or conversation. Raises QueueError."""
    found: list[DeadLetter] = []
    for queue in queues:
        async with reading(queue, timing=timing) as reader:
            while len(found) < count and (dead_letters := await reader.next(MAX_BATCH)):
                found += [one for one in dead_letters if one.is_called(name)]
    return found[:count]
