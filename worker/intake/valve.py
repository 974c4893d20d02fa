"""Holds the intake while nothing it could take can be handled: an outage burns no receive.

`flow`: everything runs. `probe`: an upstream may be back, one message at a time finds out.
`shut`: nothing is received, and what is in hand stays there, hidden by the heartbeat. Messages
given back during an outage would come again at once, and their receive counts would send healthy
ones to the dead letters.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import structlog

from worker.telemetry import metrics

log = structlog.get_logger(__name__)

State = Literal["flow", "probe", "shut"]
LOOK_SECONDS = 0.5
"""How often those who wait look again: breakers change with time, not by an event."""

CAUTION_LOOK_SECONDS = 0.02
"""How often a careful process looks whether it may receive again: it takes messages one by one."""

NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether messages may run, and why not."""

    state: State
    why: str = ""


FLOW = Verdict("flow")
_AT_ONCE = nullcontext()


class Valve:
    """Asks its judge before each receive and before each run."""

    def __init__(
        self, judge: Callable[[], Verdict], allowance: Callable[[], int] = lambda: NO_LIMIT
    ) -> None:
        """Take a judge of outages, and who says how many messages more may be in hand."""
        self._judge = judge
        self._allowance = allowance
        self._asked = 0
        self._last = FLOW
        self.stopped = False
        """Whether the intake is on its way out."""

        self._asking = False
        self._probing = False

    def verdict(self) -> Verdict:
        """Return what holds now; a change is logged and shown as `worker_paused`."""
        now = self._judge()
        if now.state != self._last.state:
            metrics.paused.set(now.state != "flow")
            log.warning("intake_valve_changed", state=now.state, why=now.why)
        self._last = now
        return now

    @property
    def last(self) -> Verdict:
        """The verdict last given; safe to read from any thread."""
        return self._last

    @property
    def careful(self) -> bool:
        """Whether nothing is received for the sake of what is in hand; safe from any thread."""
        return self._allowance() < 1

    def stop(self) -> None:
        """Let nobody wait any longer for leave to receive."""
        self.stopped = True

    @asynccontextmanager
    async def receive(self, room: int, in_hand: Callable[[], int]) -> AsyncIterator[int]:
        """Wait until something may be received; yield how many of `room`, 0 after `stop`.

        While probing that is one message, and none as long as one is in hand that can be the probe.
        """
        while (state := self.verdict().state) != "flow" and not self.stopped:
            if state == "probe" and not (in_hand() or self._asking or self._probing):
                break
            await asyncio.sleep(LOOK_SECONDS)
        if state == "flow" or self.stopped:
            async with self._cautiously(room) as may:
                yield may
            return
        self._asking = True
        try:
            yield 1
        finally:
            self._asking = False

    @asynccontextmanager
    async def _cautiously(self, room: int) -> AsyncIterator[int]:
        """Wait for leave to have more in hand; what is asked for counts as in hand already."""
        if self._allowance() < NO_LIMIT:
            await asyncio.sleep(0)  # what was received last has begun, and is known, after that
        while (  # noqa: ASYNC110  it changes with time, too
            allowed := self._allowance() - self._asked
        ) < 1 and not self.stopped:
            await asyncio.sleep(CAUTION_LOOK_SECONDS)
        may = 0 if self.stopped else min(room, allowed)
        self._asked += may
        try:
            yield may
        finally:
            self._asked -= may

    def run(self) -> AbstractAsyncContextManager[None]:
        """Wait for leave to run a message, and keep it until the run is over."""
        # As mostly nobody waits: a generator for each message would cost more than the verdict.
        return _AT_ONCE if self.verdict().state == "flow" else self._in_turn()

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        while (state := self.verdict().state) != "flow":
            if state == "probe" and not self._probing:
                break
            await asyncio.sleep(LOOK_SECONDS)
        if state == "flow":
            yield
            return
        self._probing = True
        try:
            yield
        finally:
            self._probing = False
