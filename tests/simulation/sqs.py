"""SQS in memory and in virtual time: as much of it as `worker.clients.aws.sqs.Queue` offers."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

import orjson

from tests.simulation.clock import EPOCH
from worker.clients.aws.errors import EntryFailed, QueueError
from worker.clients.aws.sqs import Message, QueueAttributes, Results

SAMPLE = 20
"""Of so many of the oldest visible messages a receive takes some: SQS is nearly in order."""

TRIP_SECONDS = 0.005
FAILURE = "worker.failure"
"""The attribute of a dead letter that says why."""

MOST_IN_FLIGHT = 120_000
MAX_RECEIVE_COUNT = 50
NONE: Mapping[str, int] = {}


@dataclass(slots=True, eq=False)
class Sent:
    """One message, and all that became of it. Times are the loop's."""

    number: int
    job: str
    sent: float
    fault: str = ""
    """What is wrong with it: an upstream that always fails for it, or a cause of refusal."""

    light: bool = False
    """Needs no call that the budget counts."""

    group: str = ""
    receives: int = 0
    runs: int = 0
    done: float | None = None
    dead: str = ""
    dead_at: float = 0.0
    hidden: bool = False
    token: int = 0
    """Changes whenever the time does at which it becomes visible."""

    gone: bool = False


class SimulatedQueue:
    """The queue itself, shared by all processes."""

    def __init__(self, name: str, jobs: tuple[str, ...], random: Random, *, fifo: bool) -> None:
        self.name = name
        self.jobs = jobs
        self.url = f"https://sqs.test/1/{name}{'.fifo' * fifo}"
        self.fifo = fifo
        self.receives = 0
        self.over_limit = 0
        self.in_flight = 0
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._visible: deque[Sent] = deque()
        self._all: dict[int, Sent] = {}
        self._hidden: list[tuple[float, int, Sent, int]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def depth(self) -> int:
        """Messages that are not deleted."""
        return len(self._all)

    def put(self, sent: Sent) -> None:
        """Send a message."""
        self._all[sent.number] = sent
        self._visible.append(sent)
        self._wake()

    def take(self, at_most: int, seconds: float) -> list[Sent]:
        """Receive what is visible, and hide it."""
        if self.in_flight >= MOST_IN_FLIGHT:
            self.over_limit += 1
            raise QueueError("receive_message", "OverLimit")
        found = self._in_order(at_most) if self.fifo else self._sample(at_most)
        for sent in found:
            sent.receives += 1
            self.receives += 1
            sent.hidden = True
            self.in_flight += 1
            self.hide(sent, seconds)
        return found

    def hide(self, sent: Sent, seconds: float) -> None:
        """Set when a message in flight becomes visible again."""
        sent.token += 1
        due = self._loop.time() + max(0.0, seconds)
        heapq.heappush(self._hidden, (due, next(self._order), sent, sent.token))
        self._schedule()

    def held(self, receipt: str) -> Sent | None:
        """Return the message in flight that this receipt, its latest, stands for."""
        number, _, receive = receipt.partition(":")
        sent = self._all.get(int(number))
        if sent is None or not sent.hidden or sent.receives != int(receive):
            return None
        return sent

    def delete(self, sent: Sent) -> None:
        """Delete a message in flight."""
        self.in_flight -= 1
        sent.hidden, sent.gone = False, True
        sent.token += 1
        del self._all[sent.number]
        if self.fifo:
            self._wake()

    async def arrival(self, until: float) -> None:
        """Wait until something becomes visible, or until that time."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        timer = self._loop.call_at(until, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _sample(self, at_most: int) -> list[Sent]:
        found: list[Sent] = []
        visible = self._visible
        while visible and len(found) < at_most:
            place = self._random.randrange(min(len(visible), SAMPLE))
            sent = visible[place]
            del visible[place]
            if not self._redriven(sent):
                found.append(sent)
        return found

    def _in_order(self, at_most: int) -> list[Sent]:
        """Of each group without a message in flight its oldest ones."""
        found: list[Sent] = []
        blocked = set()
        for sent in list(self._all.values()):
            if len(found) == at_most:
                break
            if sent.hidden or sent.group in blocked:
                blocked.add(sent.group)
            elif not self._redriven(sent):
                found.append(sent)
        for sent in found:
            self._visible.remove(sent)
        return found

    def _redriven(self, sent: Sent) -> bool:
        if sent.receives < MAX_RECEIVE_COUNT:
            return False
        sent.dead, sent.dead_at = "redrive", self._loop.time()
        sent.gone = True
        del self._all[sent.number]
        return True

    def _schedule(self) -> None:
        due = self._hidden[0][0]
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._surface)

    def _surface(self) -> None:
        """Make visible what is due."""
        self._timer = None
        now = self._loop.time() + 1e-6
        surfaced = False
        while self._hidden and (self._hidden[0][0] <= now or self._is_stale()):
            _, _, sent, token = heapq.heappop(self._hidden)
            if sent.token == token and not sent.gone:
                sent.hidden = False
                self.in_flight -= 1
                self._visible.append(sent)
                surfaced = True
        if self._hidden:
            self._schedule()
        if surfaced:
            self._wake()

    def _is_stale(self) -> bool:
        _, _, sent, token = self._hidden[0]
        return sent.gone or sent.token != token

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            _wake(waiter)


class QueueOfProcess:
    """What a process has of a queue; it looks like `worker.clients.aws.sqs.Queue`."""

    def __init__(self, queue: SimulatedQueue, visibility_seconds: float) -> None:
        self.url = queue.url
        self.killed = False
        self._silent: list[asyncio.Future[None]] = []
        self._queue = queue
        self._visibility_seconds = visibility_seconds
        self._loop = asyncio.get_running_loop()

    async def receive(
        self, at_most: int, *, wait_seconds: int, visibility_seconds: int | None
    ) -> list[Message]:
        """Long-poll for up to `at_most` messages."""
        received_at = self._loop.time()
        await self._trip()
        until = self._loop.time() + wait_seconds
        hide_for = visibility_seconds or self._visibility_seconds
        while not (found := self._queue.take(at_most, hide_for)) and self._loop.time() < until:
            await self._queue.arrival(until)
            await self._alive()
        messages = [self._message(sent, received_at) for sent in found]
        await self._trip()
        return messages

    async def delete(self, receipts: Sequence[str]) -> Results:
        """Delete up to ten."""
        return await self._each(receipts, self._queue.delete)

    async def change_visibility(self, receipts: Sequence[tuple[str, int]]) -> Results:
        """Set the visibility timeout of up to ten."""
        seconds = dict(receipts)
        return await self._each(list(seconds), self._queue.hide, seconds)

    async def send_to(self, _url: str, **message: object) -> None:
        """Send a dead letter."""
        await self._trip()
        body, attributes = message["MessageBody"], message["MessageAttributes"]
        record = orjson.loads(attributes[FAILURE]["StringValue"])
        sent = self._queue._all[int(body)]
        sent.dead = f"{sent.dead} and again" if sent.dead else _cause(record)
        sent.dead_at = self._loop.time()
        await self._trip()

    async def attributes(self, _url: str | None = None) -> QueueAttributes:
        """Read the attributes."""
        await self._trip()
        queue = self._queue
        return QueueAttributes(
            visibility_seconds=int(self._visibility_seconds),
            visible=queue.depth - queue.in_flight,
            in_flight=queue.in_flight,
            fifo=queue.fifo,
            max_receive_count=MAX_RECEIVE_COUNT,
        )

    def age_seconds(self, sent_at: float) -> float:
        """Return the age of a message by SQS's clock."""
        return EPOCH + self._loop.time() - sent_at

    async def _each(
        self, receipts: Sequence[str], do: Callable[..., None], seconds: Mapping[str, int] = NONE
    ) -> Results:
        await self._trip()
        results: Results = []
        for receipt in receipts:
            sent = self._queue.held(receipt)
            if sent is not None:
                do(sent, *([seconds[receipt]] if seconds else []))
            results.append(None if sent is not None else _stale())
        await self._trip()
        return results

    def _message(self, sent: Sent, received_at: float) -> Message:
        return Message(
            id=str(sent.number),
            receipt=f"{sent.number}:{sent.receives}",
            body=str(sent.number),
            received_at=received_at,
            receive_count=sent.receives,
            sent_at=EPOCH + sent.sent,
            group_id=sent.group or None,
        )

    async def _trip(self) -> None:
        await asyncio.sleep(TRIP_SECONDS)
        await self._alive()

    async def _alive(self) -> None:
        if self.killed:  # no one is there any more to ask, or to be answered
            self._silent.append(self._loop.create_future())
            await self._silent[-1]


def _stale() -> EntryFailed:
    return EntryFailed("ReceiptHandleIsInvalid", sender_fault=True)


def _cause(record: dict[str, str]) -> str:
    return "too old" if record["reason"].startswith("retry horizon") else record["reason"]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
