"""One queue: receive, work, settle. Start reading at `_work`.

Permits are taken before a receive, so that nothing is fetched that cannot run. One poller is always
there; more come while receives return full, and leave when they come back empty or nearly so.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from typing import Literal

import structlog
from msgspec import Struct

from worker.clients.aws import MAX_BATCH, Message
from worker.intake.dead_letters import RECORD_ATTRIBUTE, restored
from worker.intake.delivery import Delivery
from worker.intake.fifo import Groups
from worker.intake.gate import CHECK_SECONDS, Gate
from worker.intake.leases import Lease, Leases
from worker.intake.outcome import DONE, RELEASED, Outcome
from worker.intake.poller import Permits, Poller, Received
from worker.intake.settlement import Settlement
from worker.telemetry import log_as, metrics

log = structlog.get_logger(__name__)

UNSETTLED_PER_PERMIT = 10
"""Messages whose handlers have ended may wait for their ack; beyond this, receives wait."""

CANCEL_SECONDS = 2.0
"""Time for cancelled handlers to let go and for their messages to become visible again."""


class DrainReport(Struct, frozen=True):
    """What became of the messages that were in flight at the signal."""

    finished: int
    released: int
    stranded: int


class Consumer:
    """Takes messages of one queue and gives each to the delivery, then to the settlement."""

    def __init__(
        self,
        poller: Poller,
        leases: Leases,
        gate: Gate,
        permits: Permits,
        delivery: Delivery,
        settlement: Settlement,
        *,
        fifo: bool,
    ) -> None:
        self.name = gate.queue
        self.poller = poller
        self.leases = leases
        self.gate = gate
        self.delivery = delivery
        self.settlement = settlement
        self.groups = Groups(self._begin, self._release_of_group) if fifo else None
        self._acks = settlement.acks
        self._acks.settled = self.groups.settled if self.groups else None
        self._permits = permits
        self._pollers: set[asyncio.Task[None]] = set()
        self._tasks: dict[Lease, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self.draining = False
        self._finished: list[Lease] = []
        self._released = 0

    @property
    def pollers(self) -> int:
        """Pollers running now."""
        return len(self._pollers)

    @property
    def running(self) -> int:
        """Messages whose tasks have not ended."""
        return len(self._tasks)

    @property
    def in_flight(self) -> int:
        """Messages received and not settled."""
        return len(self.leases)

    def failing(self, for_seconds: float = 0.0) -> Iterator[tuple[str, str]]:
        """Yield action and code of what SQS has refused for that long, beside receives."""
        now = self._loop.time()
        for problems in (self._acks.problems, self.leases.problems):
            for action, problem in list(problems.items()):
                if problem.holds(now, for_seconds):
                    yield action, problem.code

    async def _work(self, lease: Lease) -> None:
        log_as(lease)
        try:
            try:
                outcome = await self._first_run(lease)
                while (outcome is not DONE or lease.probe) and await self._kept(lease, outcome):
                    outcome = await self._run_when_admitted(lease)
            except asyncio.CancelledError as error:
                outcome = _outcome_of_cancelled(lease, error)
            finally:
                self._leave(lease)
            if outcome is DONE and lease.why_cancelled is None:
                self.settlement.done(lease)  # nothing in it waits
            else:
                await self.settlement(lease, outcome)
            if self.draining:
                self._count(lease, outcome)
        except Exception as error:  # noqa: BLE001  a fault of ours: the message is not lost by it
            self._failed(lease, error)
        finally:  # not by a callback of the task: one more for each message
            del self._tasks[lease]

    def _first_run(self, lease: Lease) -> Awaitable[Outcome]:
        """Deliver the message, at once where nothing is to be asked: as a rule."""
        lease.begun = True
        if (
            lease.has_permit
            and lease.message.receive_count == 1
            and self.gate.state == "open"
            and lease.why_cancelled is None
            and not self._acks.finished(lease.message.id)
        ):
            return self.delivery.run(lease)  # not within another coroutine: one for each message
        return self._run_when_admitted(lease)

    async def _run_when_admitted(self, lease: Lease) -> Outcome:
        """Deliver the message when the gate lets it pass; other outcomes are of what forbids it."""
        if self._acks.finished(lease.message.id):
            metrics.messages_duplicate.inc()
            return DONE
        if lease.why_cancelled is not None:  # before it began
            return RELEASED
        if self.gate.state != "open":
            self._leave(lease)
            await self.gate.enter(lease)
        if lease.message.receive_count > 1 and (deferred := self.settlement.defers_again(lease)):
            return deferred
        if not (lease.has_permit or await self._permit(lease)):
            return RELEASED
        return await self.delivery.run(lease)

    async def _kept(self, lease: Lease, outcome: Outcome) -> bool:
        """Return whether the message stays in flight for another run, at the gate or beside it."""
        if self.gate.sets_aside(outcome, probe=lease.probe):
            self._leave(lease)
            await self.gate.wait_aside(lease)
            return True
        return self.gate.keeps(lease, outcome)

    async def run(self) -> None:
        """Poll until `stop`, and until the last running poll has ended."""
        ticker = self._loop.create_task(self._tick(), name="ticker")
        self._add_poller()
        try:
            while self._pollers:
                done, _ = await asyncio.wait(self._pollers, return_when=asyncio.FIRST_COMPLETED)
                self._pollers -= done
                for poller in done:
                    poller.result()
        finally:
            ticker.cancel()

    def stop(self) -> None:
        """Begin no further receive, and release what was not begun.

        A running poll is not cut: SQS may have made its messages invisible already, and they would
        stay so for a whole visibility timeout.
        """
        self.draining = True
        self.gate.stop()
        self.poller.stop()
        if self.groups:
            self.groups.clear()
        waiting = self._waiting()
        for lease in self.leases:
            if lease.settled or lease.why_cancelled:
                continue  # a second cancellation would cut short what the first one cleans up
            if lease in waiting or lease.phase not in ("working", "settling"):
                lease.cancel("drain")

    async def drain(self, seconds: float) -> DrainReport:
        """Stop, give running handlers up to `seconds`, then cancel and release the rest."""
        self.stop()
        await self._idle(seconds)
        if self._tasks:
            log.warning("drain_deadline_passed", queue=self.name, running=len(self._tasks))
            await self.let_go(CANCEL_SECONDS)
        return self.report()

    async def let_go(self, seconds: float) -> None:
        """Cancel what runs and make it visible again, within that time."""
        for lease in self.leases:
            if not lease.settled:
                lease.cancel("drain")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle(seconds)
                await self._acks.close()

    def report(self) -> DrainReport:
        """Return what became by now of the messages that were in flight at the stop."""
        left = set(self.leases)
        finished = sum(lease not in left for lease in self._finished)
        return DrainReport(finished, self._released, stranded=len(left))

    async def _tick(self) -> None:
        """Check what changes by time alone: gates, deadlines, and waits that a drain ends."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.gate.check()
            self.delivery.cancel_overdue()
            self.poller.end_stalled()
            metrics.fold()

    async def _idle(self, seconds: float) -> None:
        """Wait until no poll and no message is left, at most that long.

        What begins to wait for a token, the budget or the gate meanwhile is released at once.
        """
        with suppress(TimeoutError):  # not a loop that compares clocks: the last ulp of one spins
            async with asyncio.timeout(seconds):
                while tasks := self._pollers | {*self._tasks.values()}:
                    await asyncio.wait(
                        tasks, timeout=CHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    self._pollers -= {task for task in self._pollers if task.done()}
                    self.stop()

    def _waiting(self) -> set[Lease]:
        """Return the messages whose jobs all wait for a token or the budget."""
        running = self.delivery.running
        busy = {lease for work, lease in running.items() if not work.waiting_for}
        return set(running.values()) - busy

    async def _poll(self) -> None:
        last, small, gathered = Received(None, 0), 0, False
        # A wait for permits may be what a drain ends first: without any, this would never yield.
        while (how := await self._until_receiving()) != "stopped" and not self._permits.closed:
            received = await (self._receive_one() if how == "one" else self._receive(last))
            messages = received.messages
            if messages is None:
                if self._left():  # one is enough to find out when the queue answers again
                    return
                await self.poller.pause()
                continue
            last = received
            small = small + 1 if await self.poller.gathers(messages, last.at_most) else 0
            # What gathered in a window says nothing of the load: the next receive will.
            if len(messages) == MAX_BATCH and not gathered:
                self._add_poller()
            elif small >= self.poller.settings.small_receives and self._left():
                return
            gathered = bool(messages and small)

    async def _until_receiving(self) -> Literal["freely", "one", "stopped"]:
        # As last checked: the ticker does that often enough, and a refused call once more.
        gate = self.gate
        if gate.state == "open" and not (gate.overfull or gate.stopped):
            return "freely"
        return await gate.until_receiving()

    async def _receive(self, last: Received) -> Received:
        """Receive as much as there are permits for, and start its work. `last`: the one before."""
        while (
            len(self.leases.held) > UNSETTLED_PER_PERMIT * self._permits.count and not self.draining
        ):
            await self._acks.progress()
        shared = len(self._permits.used) > 1
        # An idle queue polls on one permit: what it brings beyond that waits, leased, for others.
        permits = await self._permits.acquire_some(
            self.name, 1 if shared and last.is_empty else MAX_BATCH, several=last.is_full
        )
        if self.gate.state != "open":  # it closed while this waited
            self._permits.release(self.name, permits)
            return Received([], 0)
        spare = self._permits.available(self.name, MAX_BATCH) if shared else 0
        at_most = min(MAX_BATCH, permits + spare)
        return Received(await self._receive_with(permits, at_most, wait=True), at_most)

    async def _receive_one(self) -> Received:
        """Receive one message to probe: by a long poll only if none is in flight that could."""
        messages: list[Message] | None = None
        try:
            permits = await self._permits.acquire_some(self.name, 1)
            messages = await self._receive_with(permits, 1, wait=not self.gate.could_probe)
        finally:
            self.gate.received_one(len(messages or ()))
        if messages:
            await asyncio.sleep(0)  # it reaches the gate before the next is asked for
        return Received(messages, 1)

    async def _receive_with(
        self, permits: int, at_most: int, *, wait: bool
    ) -> list[Message] | None:
        messages: list[Message] | None = []
        begun = 0
        try:
            if permits and not self.draining:
                messages = await self.poller.receive(at_most, wait=wait)
                begun = self._start(messages or [], permits)
        finally:
            self._permits.release(self.name, permits - begun)
        return messages

    def _start(self, messages: list[Message], permits: int) -> int:
        """Begin the work on messages; return how many of the permits they took."""
        begun = 0
        ready = []
        # One that SQS moved back from the dead-letter queue may carry its body encoded.
        messages = [restored(m) if RECORD_ATTRIBUTE in m.attributes else m for m in messages]
        for lease in self.leases.hold(messages):
            if lease is None:
                metrics.messages_duplicate.inc()
            elif self.draining:
                # Of no count: often the last poll brings what was released at the signal.
                self.settlement.release(lease, 0, "drain")
            elif self.groups is not None:
                self.groups.add(lease)
            else:
                if begun < permits:
                    lease.has_permit = True
                    begun += 1
                ready.append(lease)
        self.delivery.open_ahead(ready)
        for lease in ready:
            self._begin(lease)
        return begun

    def _begin(self, lease: Lease) -> None:
        # Not the loop's `create_task`: uvloop's takes a fifth of what the task itself does.
        lease.task = asyncio.Task(self._work(lease), loop=self._loop, name="message")
        self._tasks[lease] = lease.task

    def _failed(self, lease: Lease, error: Exception) -> None:
        log.error("message_task_failed", exc_info=error)
        # Not kept by the heartbeat: it comes again when its visibility timeout ends.
        self.leases.forget(lease)
        if self.groups is not None:
            self.groups.settled(lease, False)  # noqa: FBT003  see acks.Settled

    async def _permit(self, lease: Lease) -> bool:
        lease.enter("permit")
        lease.has_permit = await self._permits.acquire(self.name)
        return lease.has_permit

    def _leave(self, lease: Lease) -> None:
        """Release what the message holds, however its work ended."""
        if lease.probe:
            self.gate.leave(lease)
        if lease.has_permit:
            lease.has_permit = False
            self._permits.release(self.name)

    def _release_of_group(self, lease: Lease) -> None:
        lease.settled = True
        self.settlement.release(lease, 0, "fifo_group")
        if self.draining:
            self._released += 1

    def _count(self, lease: Lease, outcome: Outcome) -> None:
        if outcome is RELEASED:
            self._released += 1
        else:
            self._finished.append(lease)

    def _add_poller(self) -> None:
        if len(self._pollers) < self.poller.settings.most_pollers and not self.draining:
            self._pollers.add(self._loop.create_task(self._poll(), name="poller"))

    def _left(self) -> bool:
        """Take the calling poller off the list, unless it is the last one."""
        poller = asyncio.current_task()
        if poller is None or len(self._pollers) == 1:
            return False
        self._pollers.discard(poller)
        return True


def _outcome_of_cancelled(lease: Lease, error: asyncio.CancelledError) -> Outcome:
    if lease.why_cancelled is None:
        raise error  # not by us: the process is being torn down
    return RELEASED
