"""Once per job and dedupe key: what is done here is not done again, nor twice at the same time.

Effects do not depend on it: their ids derive from the same dedupe key. It spares repeats when one
of two jobs of a message failed, or when an event came under several message ids.

A copy of an event that is in work in this process waits for it. It is another SQS message, with a
receive count of its own: sent back while the first is at work, it uses up a receive, and in an
outage, with one at work each time it comes, one after the other. Copies in other processes are the
store's business.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from worker.clients.aws.idempotency import IdempotencyStore
from worker.errors import Transient
from worker.events import Proof, Result
from worker.telemetry import metrics

LONGEST_WAIT_SECONDS = 60.0
"""Then a copy goes back to the queue after all: reports run for up to an hour."""

MOST_WAITING = 5
"""Copies of one event that wait, each with a permit; more of them go back at once."""

BUSY_RETRY_SECONDS = 5
"""When a copy that could not wait is tried again at the soonest."""

_claimed = metrics.idempotency_outcomes.labels("claimed")


class Idempotency:
    """Runs work unless it was done before, in this process or, by the store, in any other.

    It knows the newest `size` pieces of work at least, and never more than twice as many. They are
    kept as hashes in two sets, the older of which is dropped whole: an ordered mapping of the keys
    themselves takes five times the memory, and grows again as it is gone through. Python's hash of
    texts is keyed anew by each process and 64 bits long: an event is taken for one of fifty
    thousand others with a chance of 1 in 10^14, no matter who chose its ids.
    """

    def __init__(self, store: IdempotencyStore | None = None, *, size: int = 25_000) -> None:
        """`store`: of all workers; None: each process remembers for itself."""
        self._store = store
        self._size = size
        self._newer: set[int] = set()
        self._older: set[int] = set()
        self._in_flight: dict[int, list[asyncio.Future[None]] | None] = {}
        """What runs now, and the copies that wait for its end: a list from the first one on."""

    async def once(
        self,
        job: str,
        key: str,
        run: Callable[..., Awaitable[Result]],
        proof: Proof,
        conversation_id: str | None = None,
        arguments: tuple[object, ...] = (),
    ) -> Result:
        """Run, with these arguments, unless it was done before: `Result.DUPLICATE` then.

        `key`: of the job's work; what the store keeps, where it is asked.
        Raises Transient while a copy is in work for too long, or in another process, and when the
        store does not answer; whatever `run` raises: the next may try at once then.
        """
        mark = hash((job, key))
        if mark in self._in_flight:
            await self._end_of(mark)
        if mark in self._newer or mark in self._older:
            metrics.idempotency_outcomes.labels("done").inc()
            return Result.DUPLICATE
        self._in_flight[mark] = None
        try:
            if self._store is None or proof == "sink":
                _claimed.value += 1
                result = await run(*arguments)  # a `partial` for each message is a 150th of it
            else:
                run = partial(run, *arguments)
                result = await self._store.once(job, key, run, conversation_id=conversation_id)
            self._newer.add(mark)
            if len(self._newer) >= self._size:
                self._older, self._newer = self._newer, set()
        finally:
            # Without an await since: a waiter that wakes finds the work done, or free.
            if copies := self._in_flight.pop(mark):
                _wake(copies)
        return result

    async def _end_of(self, mark: int) -> None:
        """Wait until the work is not in flight; raise Transient when that takes too long."""
        metrics.idempotency_outcomes.labels("busy").inc()
        if len(self._in_flight[mark] or ()) >= MOST_WAITING:
            raise Transient("copies of this event are in work", retry_after=BUSY_RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                while mark in self._in_flight:  # of those that wake together, one is the next
                    end = loop.create_future()
                    copies = self._in_flight[mark] = self._in_flight[mark] or []
                    copies.append(end)
                    await end
        except TimeoutError:
            # No time is named: the backoff grows, and a report may go on for an hour.
            raise Transient("a copy of this event is in work") from None


def _wake(copies: list[asyncio.Future[None]]) -> None:
    for end in copies:
        if not end.done():
            end.set_result(None)
