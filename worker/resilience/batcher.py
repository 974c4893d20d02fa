"""Single requests, sent together: whoever submits waits for the own answer only."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

TIMER_SLACK_SECONDS = 0.001
"""How early a batch may go: timers ring a hair before their time by the loop's own clock."""


class _Submission(Generic[T, R]):
    def __init__(self, item: T, due: float) -> None:
        self.item: Final = item
        self.due: Final = due
        self.answer: Final[asyncio.Future[R]] = asyncio.get_running_loop().create_future()

    def settle(self, result: R | BaseException) -> None:
        if self.answer.done():
            return  # its submitter was cancelled after the batch had gone
        if isinstance(result, BaseException):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class Batcher(Generic[T, R]):
    """Collects items until there are `max_items` or the oldest has waited `max_wait_seconds`.

    `flush` gets the items in the order of their submission and returns one result for each, in
    place; an exception among the results fails that submitter alone, one that is raised fails all
    of the batch. Up to `max_concurrent` flushes run at once; meanwhile the next batches fill up.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        max_items: int,
        max_wait_seconds: float,
        max_concurrent: int = 4,
    ) -> None:
        self._flush = flush
        self._max_items = max_items
        self._max_wait_seconds = max_wait_seconds
        self._max_concurrent = max_concurrent
        self._waiting: deque[_Submission[T, R]] = deque()
        self._sent: dict[asyncio.Task[Sequence[R | Exception]], list[_Submission[T, R]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        # A batch belongs to no single message: without this it would log under the ids of the one
        # whose submission happened to send it.
        self._context = copy_context()

    @property
    def pending(self) -> int:
        """Items without an answer yet, sent or not."""
        return len(self._waiting) + sum(map(len, self._sent.values()))

    async def submit(self, item: T) -> R:
        """Return the answer to `item`, sent with the next batch.

        Cancelled before that, the item is taken out; cancelled later, it is sent all the same.

        Raises what `flush` returned for this item or raised; RuntimeError once closed.
        """
        if self._closed:
            raise RuntimeError("batcher is closed")
        due = asyncio.get_running_loop().time() + self._max_wait_seconds
        submission: _Submission[T, R] = _Submission(item, due)
        self._waiting.append(submission)
        if len(self._waiting) >= self._max_items:
            self._pump()
        elif self._timer is None:
            self._arm()
        try:
            return await submission.answer
        except asyncio.CancelledError:
            if submission in self._waiting:
                self._waiting.remove(submission)
            raise

    async def close(self) -> None:
        """Take no more items, send what is there and wait until all is answered."""
        self._closed = True
        self._pump()
        while self._sent:
            await asyncio.wait(self._sent)

    async def abandon(self) -> None:
        """Take no more items and cancel what is there, sent or not: for questions, not effects."""
        self._closed = True
        for submission in self._waiting:
            submission.answer.cancel()
        self._waiting.clear()
        for task in self._sent:
            task.cancel()
        await self.close()

    def _pump(self) -> None:
        while len(self._sent) < self._max_concurrent and self._is_due():
            count = min(self._max_items, len(self._waiting))
            self._send([self._waiting.popleft() for _ in range(count)])
        self._arm()

    def _is_due(self) -> bool:
        if not self._waiting:
            return False
        now = asyncio.get_running_loop().time()
        return (
            self._closed
            or len(self._waiting) >= self._max_items
            or self._waiting[0].due <= now + TIMER_SLACK_SECONDS
        )

    def _send(self, batch: list[_Submission[T, R]]) -> None:
        loop = asyncio.get_running_loop()
        flushing = self._run([submission.item for submission in batch])
        task = loop.create_task(flushing, context=self._context.copy())
        self._sent[task] = batch
        task.add_done_callback(self._land)

    async def _run(self, items: Sequence[T]) -> Sequence[R | Exception]:
        results = await self._flush(items)
        if len(results) != len(items):
            raise RuntimeError(f"flush answered {len(results)} of {len(items)} items")
        return results

    def _land(self, task: asyncio.Task[Sequence[R | Exception]]) -> None:
        batch = self._sent.pop(task)
        if task.cancelled():  # the loop is going down
            for submission in batch:
                submission.answer.cancel()
        elif error := task.exception():
            for submission in batch:
                submission.settle(error)
        else:
            for submission, result in zip(batch, task.result(), strict=True):
                submission.settle(result)
        self._pump()

    def _arm(self) -> None:
        """Set the timer to the oldest item; without a free flush, `_land` will look again."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting and len(self._sent) < self._max_concurrent:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._waiting[0].due, self._pump)
