"""Single requests, sent together: each caller waits only for its own answer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Final, Generic, TypeVar

from worker.errors import LeaseLost
from worker.resilience.work import Work, current_work, working_for

T = TypeVar("T")
R = TypeVar("R")

TIMER_SLACK_SECONDS = 0.001
"""How early a batch may go: timers ring a hair before their time by the loop's own clock."""


class _Submission(Generic[T, R]):
    def __init__(self, item: T, due: float) -> None:
        self.item: Final = item
        self.due = due
        self.works: Final = current_work()
        self.answer: Final[asyncio.Future[R]] = asyncio.get_running_loop().create_future()

    @property
    def is_wanted(self) -> bool:
        """False once the lease of its message is lost: another consumer does all of it."""
        return not self.works or any(work.holds_lease() for work in self.works)

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
    A flush works for the messages of all its submitters.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        max_items: int,
        max_wait_seconds: float,
        max_concurrent: int = 4,
        waits_for: str = "",
    ) -> None:
        """`waits_for`: what those wait for whose batch has not gone yet; no deadline runs then."""
        self._flush = flush
        self._waits_for = waits_for
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
        now = asyncio.get_running_loop().time()
        submission: _Submission[T, R] = _Submission(item, now + self._max_wait_seconds)
        self._waiting.append(submission)
        if self._waits_for:
            for work in submission.works:
                work.start_waiting(self._waits_for, now)
        if len(self._waiting) >= self._max_items:
            self._flush_due()
        elif self._timer is None:
            self._schedule()
        try:
            return await submission.answer
        except asyncio.CancelledError:
            if submission in self._waiting:
                self._waiting.remove(submission)
                self._stop_waiting(submission)
            raise

    def waiting(self) -> list[T]:
        """Return the items that are not sent yet, oldest first."""
        return [submission.item for submission in self._waiting]

    def flush_now(self) -> None:
        """Send what is waiting as soon as a flush is free, however few and recent the items are."""
        now = asyncio.get_running_loop().time()
        for submission in self._waiting:
            submission.due = min(submission.due, now)
        self._flush_due()

    async def close(self) -> None:
        """Take no more items, send what is there and wait until all is answered."""
        self._closed = True
        self._flush_due()
        while self._sent:
            await asyncio.wait(self._sent)

    async def abandon(self) -> None:
        """Take no more items and cancel what is there, sent or not: for questions, not effects."""
        self._closed = True
        for submission in self._waiting:
            submission.answer.cancel()
            self._stop_waiting(submission)
        self._waiting.clear()
        for task in self._sent:
            task.cancel()
        await self.close()

    def _flush_due(self) -> None:
        while len(self._sent) < self._max_concurrent and self._is_due():
            count = min(self._max_items, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            for submission in batch:
                self._stop_waiting(submission)
            if wanted := [submission for submission in batch if self._is_wanted(submission)]:
                self._send(wanted)
        self._schedule()

    def _stop_waiting(self, submission: _Submission[T, R]) -> None:
        if self._waits_for:
            now = asyncio.get_running_loop().time()
            for work in submission.works:
                work.stop_waiting(now)

    def _is_wanted(self, submission: _Submission[T, R]) -> bool:
        if not submission.is_wanted:
            submission.settle(LeaseLost("not sent, the lease of the message is lost"))
        return submission.is_wanted

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
        works = {id(work): work for submission in batch for work in submission.works}
        flushing = self._run([submission.item for submission in batch], works.values())
        task = loop.create_task(flushing, context=self._context.copy())
        self._sent[task] = batch
        task.add_done_callback(self._flush_done)

    async def _run(self, items: Sequence[T], works: Iterable[Work]) -> Sequence[R | Exception]:
        with working_for(works):
            results = await self._flush(items)
        if len(results) != len(items):
            raise RuntimeError(f"flush answered {len(results)} of {len(items)} items")
        return results

    def _flush_done(self, task: asyncio.Task[Sequence[R | Exception]]) -> None:
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
        self._flush_due()

    def _schedule(self) -> None:
        """Set the timer to the oldest item; without a free flush, `_flush_done` checks again."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._waiting and len(self._sent) < self._max_concurrent:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._waiting[0].due, self._flush_due)
