"""Copies of one event in one process wait for each other, instead of coming back from the queue.

A copy is another SQS message with the same event, so it has a receive count of its own: sent back
while its twin is at work it burns a receive, and in an outage, with a twin at work each time it
comes, one after the other. Copies in other processes are the ledger's business.
"""

import asyncio
from collections.abc import Awaitable, Callable

from worker.domain.result import Result
from worker.errors import Transient
from worker.intake.ledger import Ledger
from worker.telemetry import metrics

LONGEST_WAIT_SECONDS = 60.0
"""Then the copy goes back to the queue after all: reports run for up to an hour."""

MOST_WAITING = 5
"""Copies of one event that wait, each in a slot; more of them go back at once."""

BACK_SECONDS = 5
"""When a copy that could not wait is looked at again at the soonest."""


class Twins:
    """A ledger before the ledger: one at a time per handler and dedupe key."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._running: dict[tuple[str, str], list[asyncio.Future[None]]] = {}
        """What runs now, and the copies that wait for its end."""

    async def once(
        self, handler: str, dedupe_key: str, run: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Run when the twin is through, unless it was done then.

        Raises Transient when that takes too long, and what the ledger raises.
        """
        key = (handler, dedupe_key)
        if key in self._running:
            await self._twin(key)
        waiting: list[asyncio.Future[None]] = []
        self._running[key] = waiting
        try:
            return await self._ledger.once(handler, dedupe_key, run)
        finally:
            del self._running[key]
            for copy in waiting:
                if not copy.done():
                    copy.set_result(None)

    async def _twin(self, key: tuple[str, str]) -> None:
        """Wait until none of the key is running; raise Transient when that takes too long."""
        metrics.ledger_outcomes.labels("busy").inc()
        if len(self._running[key]) >= MOST_WAITING:
            raise Transient("copies of this event are being handled", retry_after=BACK_SECONDS)
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                while key in self._running:  # of those that wake together, one is the next
                    end = asyncio.get_running_loop().create_future()
                    self._running[key].append(end)
                    await end
        except TimeoutError:
            # No time is named: the backoff grows, and a report may go on for an hour.
            raise Transient("a copy of this event is being handled") from None
