"""One gate per queue: open, half-open or closed, and why. All reasons to hold the intake are here.

A queue is the business of the jobs bound to it. Its gate closes while none of them can succeed: an
upstream that a job needs is down, a setting of it is wrong, or its dead letters are at their limit.
Closed, nothing is received, and what is in flight waits here, with its lease but without a
permit: messages released during an outage would come again at once, and their receives would count.
Half-open, one message at a time finds out.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

import structlog

from worker.intake.job_state import JobState, State
from worker.intake.leases import Lease
from worker.intake.outcome import Blocked, Outcome, Retry
from worker.telemetry import metrics

log = structlog.get_logger(__name__)


CHECK_SECONDS = 0.25
"""How often the gate is checked: breakers change with time, not by an event alone."""

MOST_WAITING_TO_PROBE = 10
"""Messages in flight at a half-open gate, up to which one more is received to probe."""

ASIDE_SECONDS = 60.0
"""Longest wait of a message beside the gate before it is tried again."""

DEGRADED_SECONDS = 0.1
"""So long after the age is reached, a message is tried again that then goes without."""

FAILED_PROBES = 3
"""Failed probes of one message after which it is released, if there are other consumers."""


class _Waiter:
    """A message in flight at a gate that is not open, or beside one that is not closed."""

    __slots__ = ("arrived", "lease", "passed")

    def __init__(self, lease: Lease, arrived: int) -> None:
        self.lease = lease
        self.arrived = arrived
        self.passed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it was chosen to probe, once it may pass."""


class Gate:
    """The gate of one queue."""

    def __init__(self, queue: str, jobs: Sequence[JobState], *, most_aside: int = 0) -> None:
        """`most_aside`: messages that may wait in flight beside the gate; see `sets_aside`."""
        self.queue = queue
        self.most_aside = most_aside
        self.jobs = {job.name: job for job in jobs}
        self.state: State = "open"
        self._paused = metrics.paused.labels(queue)
        self._paused.set(0)  # a panel or an alert of a series that is not there shows nothing
        self.reason = ""
        self.overfull = False
        """Whether the queue has nearly as many messages in flight as SQS allows."""

        self.stopped = False
        """Whether the intake is on its way out."""

        self._waiting: list[_Waiter] = []
        self._arrivals = 0
        self._aside: list[_Waiter] = []
        self._chosen: Lease | None = None
        self._receiving = False
        self._none_to_receive = False
        """Whether the last receive for a fresh probe brought none: one that failed may go then."""

        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Messages in flight that wait here."""
        return len(self._waiting) + len(self._aside)

    @property
    def could_probe(self) -> int:
        """Messages in flight that may be chosen to probe: those beside the gate may not."""
        return len(self._waiting)

    def check(self) -> State:
        """Renew the state, let pass who may, and return it."""
        before = self.state
        self.state, self.reason = self._check_state()
        if self.state != before:
            level = 40 if self.state == "closed" else 20
            log.log(level, "gate_changed", queue=self.queue, state=self.state, reason=self.reason)
            self._paused.set(self.state != "open")
            self._none_to_receive = False
            self._changed.set()
        if self._waiting:
            self._let_pass()
        if self._aside:
            self._let_pass_aside()
        return self.state

    def stop(self) -> None:
        """Let nothing be received any more."""
        self.stopped = True
        self._changed.set()

    async def until_receiving(self) -> Literal["freely", "one", "stopped"]:
        """Wait until messages may be received: any number, or one that is to probe."""
        while not self.stopped:
            state = self.check()
            if state == "open" and not self.overfull:
                return "freely"
            if state == "half_open" and not self._receiving and self._wants_one():
                self._receiving = True
                return "one"
            self._changed.clear()
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return "stopped"

    def received_one(self, messages: int) -> None:
        """Record the end of a receive that was for one message."""
        self._receiving = False
        self._none_to_receive = not messages
        self._changed.set()

    async def enter(self, lease: Lease) -> None:
        """Wait until the gate is open or the message is chosen to probe."""
        self._arrivals += 1
        waiter = _Waiter(lease, self._arrivals)
        self._waiting.append(waiter)
        lease.enter("gate")
        try:
            self.check()
            lease.probe = await waiter.passed
        except asyncio.CancelledError:
            self.leave(lease)
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def sets_aside(self, outcome: Outcome, *, probe: bool = False) -> bool:
        """Return whether a message is to wait in flight beside the gate, open or half-open.

        For an upstream that its job may miss, and that this message cannot do without: remembered
        customers and degraded records go on meanwhile. Sent back, it would come again minutes after
        the upstream is back. On a queue of several jobs it is sent back all the same: there others'
        messages are behind it. At a half-open gate only a `probe` does, which never reached what
        the gate waits for: sent back, it and each one after it would use up a receive for nothing.
        """
        failed_probe = isinstance(outcome, Retry) and outcome.outage and not outcome.own
        return (
            (isinstance(outcome, Blocked) or failed_probe)
            and len(self.jobs) == 1
            and len(self._aside) < self.most_aside
            and not self.stopped
            and any(
                job.check() in (("open", "half_open") if probe else ("open",))
                and job.missed != "closed"
                for job in self.jobs.values()
            )
        )

    async def wait_aside(self, lease: Lease) -> None:
        """Wait until the upstream is back or asks for a probe, and at most for a minute.

        Or until the message is old enough to go without: a record that is written degraded.
        """
        waiter = _Waiter(lease, 0)
        self._aside.append(waiter)
        lease.enter("gate")
        try:
            async with asyncio.timeout(_aside_seconds(lease)):
                await waiter.passed
        except TimeoutError:
            return
        finally:
            self._aside.remove(waiter)

    def _let_pass_aside(self) -> None:
        [job] = self.jobs.values()
        if job.missed == "closed":
            for waiter in self._aside:
                _pass(waiter, probe=False)
        elif job.missed == "half_open" and job.probing is None:
            first = next((one for one in self._aside if not one.passed.done()), None)
            if first is not None:
                _pass(first, probe=False)

    def keeps(self, lease: Lease, outcome: Outcome) -> bool:
        """Return whether the message stays in flight at the gate, now that its run has ended."""
        was_probe = lease.probe
        self.leave(lease)
        state = self.check()
        if state == "open" or self.stopped:
            return False
        if was_probe and state == "half_open":
            # It met something else than what the gate waits for, and there is no free place beside
            # the gate. Kept, it would be the next probe at once, and so for ever.
            return False
        if isinstance(outcome, Blocked):
            return True
        if not isinstance(outcome, Retry) or not outcome.outage:
            return False
        if not was_probe:
            return True
        lease.failed_probes += 1
        return lease.failed_probes < FAILED_PROBES or not self._waiting

    def leave(self, lease: Lease) -> None:
        """Free the place of the probe, however its run ended: else the gate never opens."""
        lease.probe = False
        if self._chosen is lease:
            self._chosen = None
            self._changed.set()

    def _check_state(self) -> tuple[State, str]:
        # All of them, also when one is open: a message of each checks its own job's state.
        states = [job.check() for job in self.jobs.values()]
        if not states or "open" in states:
            return "open", ""
        reasons = "; ".join(f"{job.name}: {job.reason}" for job in self.jobs.values())
        return ("half_open" if "half_open" in states else "closed"), reasons

    def _let_pass(self) -> None:
        if self.state == "open":
            for waiter in self._waiting:
                _pass(waiter, probe=False)
            self._waiting.clear()
        elif self.state == "half_open" and self._chosen is None and not self._receiving:
            able = [waiter for waiter in self._waiting if self._may_probe(waiter.lease)]
            if not able:
                return
            best = min(able, key=lambda one: (one.lease.failed_probes, one.arrived))
            if best.lease.failed_probes and self._fresh_may_come(len(able)):
                self._changed.set()  # a poller receives one first
                return
            self._chosen, self._none_to_receive = best.lease, False
            self._waiting.remove(best)
            _pass(best, probe=True)

    def _may_probe(self, lease: Lease) -> bool:
        """Return whether its job asks for a probe; not known before it was opened once."""
        if not lease.jobs:
            return True
        return any(self.jobs[job].state != "closed" for job in lease.jobs if job in self.jobs)

    def _fresh_may_come(self, able: int) -> bool:
        return not self._none_to_receive and able < MOST_WAITING_TO_PROBE and not self.stopped

    def _wants_one(self) -> bool:
        if self._chosen is not None:
            return False
        able = [waiter for waiter in self._waiting if self._may_probe(waiter.lease)]
        if not able:
            return True
        return self._fresh_may_come(len(able)) and all(one.lease.failed_probes for one in able)


def _aside_seconds(lease: Lease) -> float:
    left = lease.degrades_at + DEGRADED_SECONDS - asyncio.get_running_loop().time()
    # One that was old enough already could not go without: it waits as any other.
    return left if 0 < left < ASIDE_SECONDS else ASIDE_SECONDS


def _pass(waiter: _Waiter, *, probe: bool) -> None:
    if not waiter.passed.done():
        waiter.passed.set_result(probe)
