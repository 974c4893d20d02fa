"""Is the process alive, is it ready: asked by the server's thread, reported by the event loop."""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from worker.telemetry import metrics

BEAT_SECONDS = 0.5

Check = Callable[[], str | None]
"""Returns what is wrong, or None. Called from the server's thread: it reads, and waits for nothing.
"""


class Health:
    """The loop's heartbeat and the reasons not to be ready.

    Plain attributes, each written in one step by the loop and only read by the server's thread,
    so there is no lock that a stalled loop could hold.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        stall_seconds: float,
        checks: Mapping[str, Check] = MappingProxyType({}),
        sink: Check = lambda: None,
    ) -> None:
        """`clock`: monotonic seconds, callable from any thread. `checks`: readiness, by name.

        `sink`: what is wrong with the logs' sink, which only a restart can fix.
        """
        self._clock = clock
        self._stall_seconds = stall_seconds
        self._checks = checks
        self._sink = sink
        self._last_beat = clock()
        self._started = False
        self._draining = False

    def beat(self) -> None:
        """Say that the event loop runs."""
        self._last_beat = self._clock()
        self._started = True

    def drain(self) -> None:
        """Be not ready from now on: the process is on its way out."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining

    async def run(self) -> None:
        """Beat until cancelled, and measure how late the loop is each time."""
        loop = asyncio.get_running_loop()
        while True:
            self.beat()
            due = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            metrics.loop_lag.observe(max(0.0, loop.time() - due))

    def live(self) -> bool:
        """Return whether nothing is wrong that a restart would fix."""
        return not self.not_live_because()

    def not_live_because(self) -> list[str]:
        """Return what a restart would fix, one line each; dependencies do not count."""
        reasons = []
        if self._clock() - self._last_beat >= self._stall_seconds:
            reasons.append("event loop stalled")
        if problem := self._sink():
            reasons.append(problem)
        return reasons

    def ready(self) -> list[str]:
        """Return why the process is not ready, one line each; empty when it is."""
        reasons = []
        if not self._started:
            reasons.append("process: starting")
        if self._draining:
            reasons.append("process: draining")
        reasons += [f"process: {reason}" for reason in self.not_live_because()]
        asked = [(name, _ask(check)) for name, check in self._checks.items()]
        return reasons + [f"{name}: {text}" for name, text in asked if text]


def _ask(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  a broken check must not hide the others
        return f"the check failed ({type(error).__name__})"
