"""Crash quarantine by evidence: what killed two processes runs alone, a third death ends it.

From its second receive on, a message is marked in the table while it is in flight, before its body
is opened, and unmarked at its outcome. A mark that another process left behind, its lease over, is
one death. Receive counts are no evidence: outages, drains and restarts inflate them, and a process
that trusted them ran healthy messages one by one after each incident.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from worker.clients.aws import CrashMarks, Evidence
from worker.intake.leases import Lease
from worker.intake.outcome import Blocked, DeadLetter, Failure, Outcome, failure_of

log = structlog.get_logger(__name__)

DEATHS_TO_ISOLATE = 2
DEATHS_TO_END = 3

ALONE_AFTER_SECONDS = 60.0
"""How long a message waits until nothing else runs. A report may run for an hour."""


class Quarantine:
    """Runs what may kill the process by itself. One for all queues."""

    def __init__(self, marks: CrashMarks | None, running: Callable[[], int]) -> None:
        """Take the table, if there is one, and who knows how many messages are worked on now."""
        self.exclusive = False
        """Whether nothing may begin, as a message is to run alone."""

        self._marks = marks
        self._running = running
        self._isolated = 0
        self._turn = asyncio.Lock()
        self._idle = asyncio.Event()
        self._shared = asyncio.Event()

    async def until_shared(self) -> None:
        """Wait until others may run again."""
        while self.exclusive:  # again, when another message came to run alone meanwhile
            await self._shared.wait()

    def ended(self) -> None:
        """Record that a message was worked on; needed while `exclusive` only."""
        if not self._running():
            self._idle.set()

    async def deliver(self, lease: Lease, run: Callable[[Lease], Awaitable[Outcome]]) -> Outcome:
        """Deliver a message that was received before, as its evidence asks."""
        if self._marks is None:
            return await run(lease)
        marks, queue, message_id = self._marks, lease.source.name, lease.message.id
        try:
            evidence = await marks.begin(queue, message_id, lease.seconds_left())
            outcome = await self._as_proven(lease, evidence, run)
        except BaseException:
            await marks.release(queue, message_id)
            raise
        # Blocked: nothing was tried, so what was counted before still stands.
        leave = marks.release if isinstance(outcome, Blocked) else marks.end
        await leave(queue, message_id)
        return outcome

    async def _as_proven(
        self, lease: Lease, evidence: Evidence, run: Callable[[Lease], Awaitable[Outcome]]
    ) -> Outcome:
        if evidence.deaths >= DEATHS_TO_END and evidence.alone:
            return DeadLetter(_killer(evidence.deaths))
        if evidence.deaths < DEATHS_TO_ISOLATE or self._marks is None:
            await self.until_shared()  # one may have come to run alone while the table was asked
            return await run(lease)
        async with self._alone(lease):
            await self._marks.alone(lease.source.name, lease.message.id)
            return await run(lease)

    @asynccontextmanager
    async def _alone(self, lease: Lease) -> AsyncIterator[None]:
        lease.enter("alone")
        self._isolated += 1
        self.exclusive = True
        self._shared.clear()
        try:
            async with self._turn:
                await self._until_idle()
                lease.enter("working")
                log.warning("quarantined_message_runs_alone")
                yield
        finally:
            self._isolated -= 1
            if not self._isolated:
                self.exclusive = False
                self._shared.set()

    async def _until_idle(self) -> None:
        self._idle.clear()
        if not self._running():
            return
        with suppress(TimeoutError):  # beside what will not end
            async with asyncio.timeout(ALONE_AFTER_SECONDS):
                await self._idle.wait()


def _killer(deaths: int) -> Failure:
    return failure_of(
        f"the process ended {deaths} times while it handled this message, at last alone",
        error_class="ProcessKilled",
        cause="killed",
    )
