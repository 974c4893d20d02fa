"""The loop: room → receive → start; stop → drain.

Slots are reserved before a receive, so that nothing is fetched that cannot run at once. One poller
is always there; more come while receives return full, and leave when they come back empty.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from worker.intake.acks import Acks
from worker.intake.delivery import Delivery
from worker.intake.lanes import Lanes
from worker.intake.leases import Lease, Leases
from worker.intake.message import Message
from worker.intake.polls import Polls
from worker.intake.queue import MAX_BATCH
from worker.intake.slots import Slots
from worker.intake.valve import Valve
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

UNSETTLED_PER_SLOT = 10
"""Messages whose handlers are through may wait for their ack; beyond this, slots stay taken."""

CANCEL_SECONDS = 2.0
"""Time for cancelled handlers to let go and for their messages to be shown again."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What became of the messages that were in hand at the signal."""

    finished: int
    released: int
    stranded: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What a consumer holds messages with."""

    slots: Slots
    leases: Leases
    acks: Acks


class Consumer:
    """Takes messages and gives each to the delivery."""

    def __init__(
        self, polls: Polls, hold: Hold, delivery: Delivery, valve: Valve, *, fifo: bool
    ) -> None:
        self.polls = polls
        self.slots = hold.slots
        self._leases = hold.leases
        self._acks = hold.acks
        self._delivery = delivery
        self.valve = valve
        self.lanes = Lanes(self._deliver, self._give_back_follower) if fifo else None
        self._pollers: set[asyncio.Task[None]] = set()
        self._at_work: set[asyncio.Task[object]] = set()
        self._owed = 0
        self.in_flight = 0
        """Messages whose handlers run now; those that only wait for their ack are not counted."""

        self._finished = 0
        self._released = 0
        metrics.concurrency_limit.set(self.slots.count)
        metrics.inflight.set_function(lambda: self.in_flight)

    @property
    def pollers(self) -> int:
        """Pollers running now."""
        return len(self._pollers)

    async def run(self) -> None:
        """Poll until `stop`, and until the last running poll has ended."""
        self._add_poller()
        while self._pollers:
            done, _ = await asyncio.wait(self._pollers, return_when=asyncio.FIRST_COMPLETED)
            self._pollers -= done
            metrics.pollers.set(len(self._pollers))
            for poller in done:
                poller.result()

    def stop(self) -> None:
        """Begin no further receive.

        A running poll is not cut: SQS may have hidden its messages already, and they would stay
        hidden for a whole visibility timeout.
        """
        self.slots.close()
        self.valve.stop()
        self.polls.stop()

    async def drain(self, seconds: float) -> DrainReport:
        """Stop, give running handlers up to `seconds`, then cancel and release the rest."""
        self.stop()
        await self._idle(seconds)
        if self._at_work:
            log.warning("drain_deadline_passed", running=len(self._at_work))
            await self.let_go(CANCEL_SECONDS)
        return self.report()

    async def let_go(self, seconds: float) -> None:
        """Cancel what runs and make it visible again."""
        for lease in self._leases:
            if not lease.settled:
                lease.cancel("drain")
        await self._idle(seconds)

    def report(self) -> DrainReport:
        """Return what became by now of the messages that were in hand at the stop."""
        return DrainReport(self._finished, self._released, stranded=len(self._leases))

    async def _idle(self, seconds: float) -> None:
        """Wait until no poll and no message is left, at most that long."""
        try:
            async with asyncio.timeout(seconds):
                while tasks := self._pollers | self._at_work:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    self._pollers -= {task for task in self._pollers if task.done()}
        except TimeoutError:
            return

    async def _poll(self) -> None:
        empties = 0
        while room := await self.slots.take(at_most=MAX_BATCH):
            async with self.valve.receive(room, lambda: self.in_flight) as may:
                messages = await self.polls.receive(may) if may else []
            self.slots.give_back(room - len(messages or ()))
            if messages is None:
                if self._left():  # one is enough to find out when the queue answers again
                    return
                await self.polls.pause()
                continue
            for message in messages:
                self._start(message)
            empties = 0 if messages else empties + 1
            if len(messages) == room and self.slots.free:
                self._add_poller()
            # One empty poll says little: SQS asks a sample of its servers.
            elif empties >= self.polls.patience and self._left():
                return

    def _left(self) -> bool:
        """Take the calling poller off the list, unless it is the last one."""
        poller = asyncio.current_task()
        if poller is None or len(self._pollers) == 1:
            return False
        self._pollers.discard(poller)
        metrics.pollers.set(len(self._pollers))
        return True

    def _add_poller(self) -> None:
        if len(self._pollers) < self.polls.most_pollers and not self.slots.closed:
            self._pollers.add(asyncio.create_task(self._poll(), name="poller"))
            metrics.pollers.set(len(self._pollers))

    def _start(self, message: Message) -> None:
        lease = self._leases.hold(message)
        if lease is None:
            metrics.messages_duplicate.inc()
            self.slots.give_back(1)
            return
        task = asyncio.create_task(self._work(lease), name="message")
        self._at_work.add(task)
        task.add_done_callback(self._ended)

    def _work(self, lease: Lease) -> Coroutine[Any, Any, object]:
        if self.slots.closed:
            return self._give_back(lease, "drain")
        return self._deliver(lease) if self.lanes is None else self.lanes.take(lease)

    async def _deliver(self, lease: Lease) -> bool:
        self.in_flight += 1
        gone = False
        try:
            gone = await self._delivery(lease, self._free_slot)
        except BaseException:
            # Not kept by the heartbeat: it comes again when its visibility timeout ends.
            self._leases.forget(lease)
            raise
        finally:
            if self.slots.closed:
                self._tell(released=lease.why_cancelled == "drain" and not gone)
        return gone

    async def _give_back(self, lease: Lease, why: str) -> None:
        """Show a message again at once that was not begun."""
        lease.settled = True
        self.slots.give_back(1)
        await self._acks.show_again(lease, 0)
        metrics.messages_released.labels(why).inc()
        if self.slots.closed:
            self._tell(released=True)

    def _tell(self, *, released: bool) -> None:
        """Count a message, not a task: that of a FIFO group's head works off its followers."""
        self._released += released
        self._finished += not released

    async def _give_back_follower(self, lease: Lease) -> None:
        self._delivery.gave_back(lease.message)
        await self._give_back(lease, "follower")

    def _free_slot(self) -> None:
        self.in_flight -= 1
        self._owed += 1
        self._pay()

    def _pay(self) -> None:
        """Give slots back, unless so many acks are outstanding that intake should wait."""
        if self._owed and len(self._at_work) <= self.slots.count * UNSETTLED_PER_SLOT:
            owed, self._owed = self._owed, 0
            self.slots.give_back(owed)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._at_work.discard(task)
        self._pay()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_failed", exc_info=error)


def most_pollers(concurrency: int) -> int:
    """Pollers that can keep this many handlers busy, each with room for ten messages.

    Rounded down: one more would live on what the others leave, and call for a handful each time.
    """
    return max(1, concurrency // MAX_BATCH)
