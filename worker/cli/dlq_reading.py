"""Reading a dead-letter queue without taking anything from it.

SQS has no look without a receive. So what is read is hidden while the command runs, and shown again
at its end. A command that is killed shows nothing again: SQS does, within a minute.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf

from worker.cli.dlq_letters import DeadLetter, read_letter
from worker.clients.aws.errors import QueueError
from worker.clients.aws.sqs import MAX_BATCH, Message, Queue

HIDDEN_SECONDS = 60
"""Visibility timeout of what is read, renewed at half of it."""

WAIT_SECONDS = 1
"""Of a receive; a short poll asks only some of SQS's servers, and may find nothing by chance."""

IDLE_RECEIVES = 3
"""Receives without anything new after which the queue counts as read."""

SIDE_BY_SIDE = 10
"""Batch calls under way at once."""


@dataclass(slots=True)
class _Held:
    receipt: str
    due: float
    """When to hide it anew, by the loop's clock."""


class Reader:
    """Gives out each message once, and keeps those it gave out hidden."""

    def __init__(self, queue: Queue, before: float, wait_seconds: int) -> None:
        """`before`: what was sent later, in seconds since the epoch, is left out.

        Otherwise a redrive would meet again what the worker parks again, for ever.
        """
        self._queue = queue
        self._before = before
        self._wait_seconds = wait_seconds
        self._held: dict[str, _Held] = {}
        self._done: set[str] = set()
        self.newer = 0
        """Messages left out as they came after the start."""

    async def next(self, at_most: int) -> list[DeadLetter]:
        """Return up to ten more letters; none when all are read. Raises QueueError."""
        room, idle = min(at_most, MAX_BATCH), 0
        while idle < IDLE_RECEIVES:
            newer = self.newer
            messages = await self._receive(room)
            if new := [message for message in messages if self._is_new(message)]:
                return [read_letter(message) for message in new]
            if not messages and not (await self._queue.attributes()).visible:
                break
            # SQS puts behind the others what was received three times: letters may come yet.
            idle = 0 if self.newer - newer == room else idle + 1
        return []

    def forget(self, letter: DeadLetter) -> None:
        """Let go of a letter that was deleted."""
        self._held.pop(letter.message.id, None)
        # Remembered: a copy that SQS delivers once more must not be moved once more.
        self._done.add(letter.message.id)

    async def keep_hidden(self) -> None:
        """Hide anew what is half used up, for ever: a slow pace must not show what was read."""
        while True:
            await asyncio.sleep(HIDDEN_SECONDS / 10)
            await self._hide_due()

    async def show_again(self) -> None:
        """Make visible again whatever is still held."""
        receipts = [(held.receipt, 0) for held in self._held.values()]
        self._held.clear()
        await self._hide(receipts)

    async def _receive(self, at_most: int) -> list[Message]:
        receive = asyncio.create_task(
            self._queue.receive(
                at_most, wait_seconds=self._wait_seconds, visibility_seconds=HIDDEN_SECONDS
            )
        )
        try:
            return await asyncio.shield(receive)
        except asyncio.CancelledError:
            # Never cut: what SQS had given out already would be nobody's for a minute.
            for message in await receive:
                self._is_new(message)
            raise

    def _is_new(self, message: Message) -> bool:
        known = message.id in self._held or message.id in self._done
        due = message.received_at + HIDDEN_SECONDS / 2
        self._held[message.id] = _Held(message.receipt, due)
        if known:
            return False
        if message.sent_at is not None and message.sent_at >= self._before:
            self.newer += 1
            return False
        return True

    async def _hide_due(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [held for held in self._held.values() if held.due <= now]
        for held in due:
            held.due = now + HIDDEN_SECONDS / 2
        await self._hide([(held.receipt, HIDDEN_SECONDS) for held in due])

    async def _hide(self, receipts: Sequence[tuple[str, int]]) -> None:
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def hide(batch: Sequence[tuple[str, int]]) -> None:
            async with places:
                await self._queue.change_visibility(batch)

        batches = [receipts[i : i + MAX_BATCH] for i in range(0, len(receipts), MAX_BATCH)]
        done = await asyncio.gather(*map(hide, batches), return_exceptions=True)
        # A failure costs nothing but time: the message shows itself again within a minute.
        for problem in done:
            if isinstance(problem, BaseException) and not isinstance(problem, QueueError):
                raise problem


@asynccontextmanager
async def reading(
    queue: Queue, *, before: float = inf, wait_seconds: int = WAIT_SECONDS
) -> AsyncIterator[Reader]:
    """Read the queue in the block, and leave it as it was but for what the block deleted."""
    reader = Reader(queue, before, wait_seconds)
    keeping = asyncio.create_task(reader.keep_hidden())
    try:
        yield reader
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})  # a late beat would hide again what is shown
        await reader.show_again()
