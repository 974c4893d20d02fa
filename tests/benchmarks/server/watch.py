"""A stretch of traffic: from one count of deleted messages to another, with its time and cost."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.server.actions import Actions
from tests.benchmarks.server.sessions import session_seconds


@dataclass(slots=True)
class Mark:
    """What is known at one moment."""

    at: float
    deleted: int
    given: int
    calls: Counter[str]
    cpu_seconds: float
    """Of the contestant."""

    server_seconds: float
    """CPU time of this server: near the time that passed, it was the bottleneck."""


@dataclass(slots=True)
class Watch:
    """Message 0 is not counted: it is the slow one, where there is one."""

    session: int
    begin: int
    """Deleted messages at which the stretch begins; 0: at the first receive of any."""

    end: int
    """Deleted messages at which it ends."""

    seconds: float
    """It ends this long after its begin at the latest."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    first: Mark | None = None
    last: Mark | None = None

    def look(self, actions: Actions) -> None:
        """Set a mark where one is due."""
        deleted = _others(actions)
        if self.first is None and deleted >= self.begin:
            self.first = self._mark(actions, deleted)
            asyncio.get_running_loop().call_later(self.seconds, self.finish, actions)
        if self.last is None and deleted >= self.end:
            self.finish(actions)

    def finish(self, actions: Actions) -> None:
        """End the stretch, if it has not ended."""
        if self.last is None and self.first is not None:
            self.last = self._mark(actions, _others(actions))
            self.over.set()

    def report(self) -> dict[str, Any]:
        """Return the differences between the two marks."""
        first, last = self.first, self.last
        if first is None or last is None:
            return {"deleted": 0}
        return {
            "deleted": last.deleted - first.deleted,
            "complete": last.deleted >= self.end,
            "given": last.given - first.given,
            "seconds": last.at - first.at,
            "cpu_seconds": last.cpu_seconds - first.cpu_seconds,
            "server_seconds": last.server_seconds - first.server_seconds,
            "calls": dict(last.calls - first.calls),
        }

    def _mark(self, actions: Actions, deleted: int) -> Mark:
        at = time.perf_counter()
        cpu = session_seconds(self.session) if self.session else 0.0
        return Mark(at, deleted, actions.given, actions.calls.copy(), cpu, time.process_time())


def _others(actions: Actions) -> int:
    deleted = actions.queue.deleted
    return len(deleted) - (0 in deleted)
