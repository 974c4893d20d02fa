"""Dead letters back to their queues, or away for good.

A copy is sent first and the letter deleted then. Whatever interrupts that, each message is on one
queue at least; one that is on both is done twice, and that is what the worker is made for.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from worker.cli.dlq_addresses import Addresses, NoAddress
from worker.cli.dlq_letters import Causes, DeadLetter, Filter, NotDecoded, name_of
from worker.cli.dlq_reading import WAIT_SECONDS, Reader, reading
from worker.cli.preflight.faults import fault_of
from worker.clients.aws.errors import QueueError
from worker.clients.aws.sqs import MAX_BATCH, Queue
from worker.intake.dead_letters import traced

DELETE_ATTEMPTS = 3
DELETE_PAUSE_SECONDS = 0.3
MOST_FRUITLESS = 3
"""Batches without any success after which the rest is left alone: one bad letter stops nothing, a
missing right stops all."""

MOST_NATIVE_PER_SECOND = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done, and with which letters."""

    action: Literal["redrive", "delete"]
    addresses: Addresses
    """Where copies go."""

    only: Filter
    apply: bool
    before: float
    """Letters that came later, in seconds since the epoch, are not meant."""

    rate: float
    """Messages per second at most."""

    limit: int | None = None
    wait_seconds: int = WAIT_SECONDS
    """Of a receive that finds nothing."""


@dataclass(slots=True)
class Tally:
    """What became of the letters that were meant."""

    causes: Causes = field(default_factory=Causes)
    others: int = 0
    """Letters that were not meant; they stay."""

    newer: int = 0
    """Letters that came after the start, by the clock of this machine; they stay."""

    done: int = 0
    not_sent: int = 0
    """They stay as they are."""

    not_deleted: int = 0
    """They stay; after a redrive a copy is on the queue too."""

    problems: set[str] = field(default_factory=set)
    """Codes of what SQS refused, or we could not decode or address."""

    destinations: Counter[str] = field(default_factory=Counter)
    """Letters that were sent, or would be, by the name of their queue."""

    unaddressed: Counter[str] = field(default_factory=Counter)
    """Letters for which no queue is known, by the reason."""

    @property
    def failed(self) -> bool:
        """Whether something that was wanted did not come about."""
        return bool(self.not_sent or self.not_deleted)


Tell = Callable[[Tally], None]


async def work_off(queue: Queue, order: Order, tally: Tally, tell: Tell = lambda _: None) -> None:
    """Do what is ordered with each letter that is meant, or count them. Raises QueueError."""
    async with reading(queue, before=order.before, wait_seconds=order.wait_seconds) as reader:
        batches = _Batches(queue, reader, order, tally)
        pace = Pace(order.rate)
        while (room := _room(order, tally)) > 0 and batches.fruitless < MOST_FRUITLESS:
            if order.apply:
                await pace.wait()
            letters = await reader.next(min(room, pace.burst) if order.apply else room)
            if not letters:
                break
            wanted = [letter for letter in letters if order.only.takes(letter)]
            tally.causes.add(wanted)
            tally.others += len(letters) - len(wanted)
            await batches.work_off(wanted)
            pace.spent(len(wanted))
            tell(tally)
        tally.newer += reader.newer


def _room(order: Order, tally: Tally) -> int:
    return MAX_BATCH if order.limit is None else min(MAX_BATCH, order.limit - tally.causes.total)


class Pace:
    """Spreads messages evenly, without any burst beyond one batch."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._clock = asyncio.get_running_loop().time
        self._next_at = self._clock()
        self.burst = max(1, min(MAX_BATCH, int(rate)))
        """Messages that may be taken at once: waiting with them in hand would use up their time."""

    async def wait(self) -> None:
        """Wait until more may go."""
        await asyncio.sleep(self._next_at - self._clock())

    def spent(self, count: int) -> None:
        """Note that so many went."""
        self._next_at = max(self._next_at, self._clock()) + count / self._rate


class _Batches:
    """Works off one batch after the other: copies first, deletes then."""

    def __init__(self, queue: Queue, reader: Reader, order: Order, tally: Tally) -> None:
        self._queue = queue
        self._reader = reader
        self._order = order
        self._tally = tally
        self.fruitless = 0
        """Batches one after the other of which nothing could be done."""

    async def work_off(self, letters: Sequence[DeadLetter]) -> None:
        """Do what is ordered with each letter, and count what came of it."""
        redrive = self._order.action == "redrive"
        if not self._order.apply:
            for letter in letters if redrive else ():
                self._count(self._address(letter))
            return
        if not letters:
            return
        unaddressed = self._tally.unaddressed.total()
        ready = await self._send(letters) if redrive else letters
        self._tally.not_sent += len(letters) - len(ready)
        left = await self._delete(ready)
        self._tally.not_deleted += len(left)
        self._tally.done += len(ready) - len(left)
        tried = len(letters) - (self._tally.unaddressed.total() - unaddressed)
        if tried:
            self.fruitless = 0 if len(ready) > len(left) else self.fruitless + 1

    async def _send(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        if not self._queue.url.endswith(".fifo"):
            sent = await asyncio.gather(*map(self._send_one, letters))
            return [letter for letter, is_sent in zip(letters, sent, strict=True) if is_sent]
        ready: list[DeadLetter] = []
        stuck: set[str | None] = set()
        for letter in letters:  # one after the other: that is the order they are worked in
            group = letter.message.group_id
            if group in stuck:
                continue
            if await self._send_one(letter):
                ready.append(letter)
            else:
                stuck.add(group)
        return ready

    async def _send_one(self, letter: DeadLetter) -> bool:
        url = self._address(letter)
        if url is None:
            return False
        try:
            copy = copy_of(letter, fifo=url.endswith(".fifo"))
            await self._queue.send_to(url, **copy)
        except (QueueError, NotDecoded) as error:
            self._tally.problems.add(error.code)
            return False
        self._count(url)
        return True

    def _address(self, letter: DeadLetter) -> str | None:
        """Return where the letter goes; None, and counted, when no queue is known for it."""
        try:
            return self._order.addresses.of(letter, self._queue.url)
        except NoAddress as error:
            self._tally.problems.add(error.code)
            self._tally.unaddressed[str(error)] += 1
            return None

    def _count(self, url: str | None) -> None:
        if url is not None:
            self._tally.destinations[name_of(url)] += 1

    async def _delete(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """Delete and return those that could not be."""
        for attempt in range(1, DELETE_ATTEMPTS + 1):
            letters = await self._delete_once(letters)
            if not letters or attempt == DELETE_ATTEMPTS:
                break
            await asyncio.sleep(DELETE_PAUSE_SECONDS * attempt)
        return letters

    async def _delete_once(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        if not letters:
            return []
        try:
            results = await self._queue.delete([letter.message.receipt for letter in letters])
        except QueueError as error:
            self._tally.problems.add(error.code)
            return letters
        left = []
        for letter, failed in zip(letters, results, strict=True):
            if failed is None:
                self._reader.forget(letter)
            else:
                self._tally.problems.add(failed.code)
                left.append(letter)
        return left


def copy_of(letter: DeadLetter, *, fifo: bool) -> dict[str, Any]:
    """Return the message as it was on its queue, in SendMessage's words. Raises NotDecoded."""
    message, original = letter.message, letter.original()
    copy: dict[str, Any] = {"MessageBody": original.body}
    if original.attributes:
        copy["MessageAttributes"] = original.attributes
    copy |= traced(message)
    if message.group_id is not None:
        copy["MessageGroupId"] = message.group_id
    if fifo:
        copy.setdefault("MessageGroupId", message.id)
        # The same for each try at this letter: within five minutes SQS keeps one of them.
        copy["MessageDeduplicationId"] = f"redrive-{message.id}"
    return copy


async def start_native(client: Any, source: str, destination: str, rate: float) -> str:
    """Let SQS itself move all letters; return the ARN by which the task is followed.

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
