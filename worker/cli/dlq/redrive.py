"""Dead letters back to their queues, or deleted.

A copy is sent first and the dead letter deleted then. Whatever interrupts that, each message is on
one queue at least; one that is on both is handled twice, which the worker is made for.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from worker.cli.dlq.reader import (
    DEFAULT_TIMING,
    Causes,
    DeadLetter,
    NotDecoded,
    Reader,
    Timing,
    name_of,
    reading,
)
from worker.clients.aws import MAX_BATCH, Queue, QueueError, fault_of
from worker.errors import ConfigurationError
from worker.intake.dead_letters import traced
from worker.settings import Sqs, is_fifo

DELETE_ATTEMPTS = 3
MOST_FRUITLESS = 3
"""Batches without any success after which the rest is left alone: one bad message stops nothing, a
missing permission stops all."""

MOST_NATIVE_PER_SECOND = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are selected; None leaves a criterion out."""

    reason: str | None = None
    """Part of the reason; upper and lower case are the same."""

    fingerprint: str | None = None
    job: str | None = None
    conversation: str | None = None
    """Its id."""

    message: str | None = None
    """Its id, now or before it was dead-lettered."""

    failed_before: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every dead letter is selected."""
        return self == Filter()

    def selects(self, dead_letter: DeadLetter) -> bool:
        """Whether the dead letter meets all criteria."""
        failed_at, before = dead_letter.failed_at, self.failed_before
        return (
            (self.reason or "").lower() in dead_letter.reason.lower()
            and self.fingerprint in {None, dead_letter.fingerprint}
            and self.job in {None, dead_letter.job}
            and (self.message is None or dead_letter.has_id(self.message))
            and (self.conversation is None or dead_letter.is_about(self.conversation))
            and (before is None or (failed_at is not None and failed_at < before))
        )


@dataclass(frozen=True, slots=True)
class Urls:
    """The queues and the dead-letter queues."""

    queues: Sequence[str]
    dead_letters: Sequence[str]

    def native(self, to: str | None) -> tuple[str, str]:
        """Return the dead-letter queue of which SQS moves everything, and where to.

        Raises ValueError where one of them is not named.
        """
        if to is None and len(self.queues) > 1:
            raise ValueError("SQS moves everything to one queue: name it by --to")
        to = to or self.queues[0]
        sources = [url for url in self.dead_letters if is_fifo(url) == is_fifo(to)]
        if not sources:
            raise ValueError("no dead-letter queue is of the kind of that queue")
        return sources[0], to


def urls_of(sqs: Sqs) -> Urls:
    """Return the queues of the settings; ConfigurationError when one is both kinds."""
    if not sqs.dead_letter_queue_urls:
        raise ConfigurationError(["SQS_DEAD_LETTER_QUEUE_URL: is not set"])
    if set(sqs.dead_letter_queue_urls) & set(sqs.queue_urls):
        raise ConfigurationError(["SQS_DEAD_LETTER_QUEUE_URL: is in SQS_QUEUE_URL, too"])
    return Urls(sqs.queue_urls, sqs.dead_letter_queue_urls)


class NoAddress(Exception):
    """No queue is known for this dead letter; the text says why."""

    code = "NoQueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The queues that dead letters may go back to.

    The failure record names the queue, or SQS does, where SQS itself moved the message. A record is
    text of a queue, so the queue it names must be one of ours, or of the same account and region as
    the dead-letter queue: the copy holds personal data, and is sent with our credentials.
    """

    queues: Sequence[str]
    """URLs of SQS_QUEUE_URL."""

    only: str | None = None
    """Where all dead letters go, whatever their records say."""

    def of(self, dead_letter: DeadLetter, dead_letters: str) -> str:
        """Return the URL for a dead letter of that dead-letter queue. Raises NoAddress."""
        url = self.only or self._named(dead_letter, dead_letters) or self._single()
        if url == dead_letters:
            raise NoAddress("the queue it names is its dead-letter queue")
        return url

    def _named(self, dead_letter: DeadLetter, dead_letters: str) -> str | None:
        beside = dead_letters.rpartition("/")[0]
        if (url := dead_letter.queue_url) is not None:
            if url in self.queues or url.rpartition("/")[0] == beside:
                return url
            raise NoAddress("its record names a queue of another account or region")
        if (arn := dead_letter.message.moved_from) is None:
            return None
        # SQS moves within one account and region, so only the name is unknown.
        name = arn.rpartition(":")[2]
        return next((url for url in self.queues if url.endswith(f"/{name}")), f"{beside}/{name}")

    def _single(self) -> str:
        if len(self.queues) != 1:
            raise NoAddress("it names no queue, and SQS_QUEUE_URL has several")
        return self.queues[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is done, and with which dead letters."""

    action: Literal["redrive", "delete"]
    addresses: Addresses
    """Where copies go."""

    only: Filter
    apply: bool
    before: float
    """Dead letters that came later, in seconds since the epoch, are left alone."""

    rate: float
    """Messages per second at most."""

    limit: int | None = None
    timing: Timing = DEFAULT_TIMING


@dataclass(slots=True)
class Tally:
    """What became of the dead letters that were selected."""

    causes: Causes = field(default_factory=Causes)
    others: int = 0
    """Dead letters that were not selected; they stay."""

    depth: int = 0
    """Dead letters on the queue at the start, as SQS counts them."""

    newer: int = 0
    """Dead letters that came after the start, by the clock of this machine; they stay."""

    done: int = 0
    not_sent: int = 0
    """They stay as they are."""

    not_deleted: int = 0
    """They stay; after a redrive a copy is on the queue too."""

    problems: set[str] = field(default_factory=set)
    """Codes of what SQS refused, or what could not be decoded or addressed."""

    destinations: Counter[str] = field(default_factory=Counter)
    """Dead letters that were sent, or would be, by the name of their queue."""

    unaddressed: Counter[str] = field(default_factory=Counter)
    """Dead letters for which no queue is known, by the reason."""

    @property
    def failed(self) -> bool:
        """Whether a dead letter that was selected was not moved or deleted."""
        return bool(self.not_sent or self.not_deleted)


OnProgress = Callable[[Tally], None]
"""Called before and after each batch; what it raises ends the run between two of them."""


async def carry_out(
    queue: Queue, order: Order, tally: Tally, on_progress: OnProgress = lambda _: None
) -> None:
    """Redrive or delete each dead letter that is selected, or count them. Raises QueueError."""
    async with reading(queue, before=order.before, timing=order.timing) as reader:
        batches = _Batches(queue, reader, order, tally)
        send_rate = SendRate(order.rate)
        while (left := _left(order, tally)) > 0 and batches.fruitless < MOST_FRUITLESS:
            if order.apply:
                await send_rate.wait()
                on_progress(tally)
            dead_letters = await reader.next(min(left, send_rate.burst) if order.apply else left)
            if not dead_letters:
                break
            selected = [
                dead_letter for dead_letter in dead_letters if order.only.selects(dead_letter)
            ]
            tally.causes.add(selected)
            tally.others += len(dead_letters) - len(selected)
            await batches.carry_out(selected)
            send_rate.used(len(selected))
            on_progress(tally)
        tally.newer += reader.newer


def _left(order: Order, tally: Tally) -> int:
    return MAX_BATCH if order.limit is None else min(MAX_BATCH, order.limit - tally.causes.total)


class SendRate:
    """Spreads messages evenly, without any burst beyond one batch."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._clock = asyncio.get_running_loop().time
        self._next_at = self._clock()
        self.burst = max(1, min(MAX_BATCH, int(rate)))
        """Messages to receive at once: more would use up their visibility timeout waiting."""

    async def wait(self) -> None:
        """Wait until more may go."""
        await asyncio.sleep(self._next_at - self._clock())

    def used(self, count: int) -> None:
        """Note that so many went."""
        self._next_at = max(self._next_at, self._clock()) + count / self._rate


class _Batches:
    """Carries out the order, a batch at a time: copies first, deletes then."""

    def __init__(self, queue: Queue, reader: Reader, order: Order, tally: Tally) -> None:
        self._queue = queue
        self._reader = reader
        self._order = order
        self._tally = tally
        self.fruitless = 0
        """Batches in a row without any success."""

    async def carry_out(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Redrive or delete the dead letters, and count what became of them."""
        redrive = self._order.action == "redrive"
        if not self._order.apply:
            for dead_letter in dead_letters if redrive else ():
                self._count(self._address(dead_letter))
            return
        if not dead_letters:
            return
        unaddressed = self._tally.unaddressed.total()
        ready = await self._send(dead_letters) if redrive else dead_letters
        self._tally.not_sent += len(dead_letters) - len(ready)
        left = await self._delete(ready)
        self._tally.not_deleted += len(left)
        self._tally.done += len(ready) - len(left)
        tried = len(dead_letters) - (self._tally.unaddressed.total() - unaddressed)
        if tried:
            self.fruitless = 0 if len(ready) > len(left) else self.fruitless + 1

    async def _send(self, dead_letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        if not self._queue.url.endswith(".fifo"):
            sent = await asyncio.gather(*map(self._send_one, dead_letters))
            return [
                dead_letter
                for dead_letter, is_sent in zip(dead_letters, sent, strict=True)
                if is_sent
            ]
        ready: list[DeadLetter] = []
        stuck: set[str | None] = set()
        for dead_letter in dead_letters:  # one at a time: the order of a group is kept
            group = dead_letter.message.group_id
            if group in stuck:
                continue
            if await self._send_one(dead_letter):
                ready.append(dead_letter)
            else:
                stuck.add(group)
        return ready

    async def _send_one(self, dead_letter: DeadLetter) -> bool:
        url = self._address(dead_letter)
        if url is None:
            return False
        try:
            copy = copy_of(dead_letter, fifo=url.endswith(".fifo"))
            await self._queue.send_to(url, **copy)
        except (QueueError, NotDecoded) as error:
            self._tally.problems.add(error.code)
            return False
        self._count(url)
        return True

    def _address(self, dead_letter: DeadLetter) -> str | None:
        """Return where the dead letter goes; None, and counted, when no queue is known for it."""
        try:
            return self._order.addresses.of(dead_letter, self._queue.url)
        except NoAddress as error:
            self._tally.problems.add(error.code)
            self._tally.unaddressed[str(error)] += 1
            return None

    def _count(self, url: str | None) -> None:
        if url is not None:
            self._tally.destinations[name_of(url)] += 1

    async def _delete(self, dead_letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """Delete and return those that could not be."""
        for attempt in range(1, DELETE_ATTEMPTS + 1):
            dead_letters = await self._delete_once(dead_letters)
            if not dead_letters or attempt == DELETE_ATTEMPTS:
                break
            await asyncio.sleep(self._order.timing.before_delete * attempt)
        return dead_letters

    async def _delete_once(self, dead_letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        if not dead_letters:
            return []
        try:
            results = await self._queue.delete(
                [dead_letter.message.receipt for dead_letter in dead_letters]
            )
        except QueueError as error:
            self._tally.problems.add(error.code)
            return dead_letters
        left = []
        for dead_letter, failed in zip(dead_letters, results, strict=True):
            if failed is None:
                self._reader.forget(dead_letter)
            else:
                self._tally.problems.add(failed.code)
                left.append(dead_letter)
        return left


def copy_of(dead_letter: DeadLetter, *, fifo: bool) -> dict[str, Any]:
    """Return the message as it was on its queue, as SendMessage takes it. Raises NotDecoded."""
    message, original = dead_letter.message, dead_letter.original()
    copy: dict[str, Any] = {"MessageBody": original.body}
    if original.attributes:
        copy["MessageAttributes"] = original.attributes
    copy |= traced(message)
    if message.group_id is not None:
        copy["MessageGroupId"] = message.group_id
    if fifo:
        copy.setdefault("MessageGroupId", message.id)
        # The same for each try at this dead letter: within five minutes SQS keeps one of them.
        copy["MessageDeduplicationId"] = f"redrive-{message.id}"
    return copy


async def start_native(client: Any, source: str, destination: str, rate: float) -> str:
    """Let SQS itself move all dead letters; return the ARN that names the task's source.

    Raises QueueError: SQS does it only for the dead-letter queue of a redrive policy.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    """
    try:
        arns = [await _arn(client, url) for url in (source, destination)]
        await client.start_message_move_task(
            SourceArn=arns[0],
            DestinationArn=arns[1],
            MaxNumberOfMessagesPerSecond=max(1, min(MOST_NATIVE_PER_SECOND, int(rate))),
        )
    except (ClientError, BotoCoreError) as error:
        raise QueueError("StartMessageMoveTask", fault_of(error).code) from error
    return arns[0]


async def _arn(client: Any, url: str) -> str:
    reply = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn: str = reply["Attributes"]["QueueArn"]
    return arn
