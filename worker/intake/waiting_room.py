"""Where messages wait while some handlers are blocked by an outage and others are free.

The intake goes on for those that are free, so which type comes next only a receive can tell, and a
message that is sent back by its own backoff is soon received too often. So a few messages a handler
stay in hand and ask, at the breaker's pace, whether the upstream is back. The others are hidden for
long, at one receive, and called back as soon as it is. Holding all of them in hand was the other
way: they would fill the slots of those that can be handled.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import NamedTuple

import structlog

from worker.intake.acks import Acks
from worker.intake.leases import Lease
from worker.intake.message import Message
from worker.intake.outcome import Retry
from worker.intake.valve import LOOK_SECONDS, Valve
from worker.resilience.breaker import PROBES_TO_CLOSE, State

log = structlog.get_logger(__name__)

LONG = (0.8, 1.0)
"""Shares of its time for which a message is hidden: apart, so that not all show themselves at once.
"""

REMEMBERED = 2_000
"""Hidden messages that are called back; more than that come by themselves."""

CALLED_AT_ONCE = 100
CLOSING_SECONDS = 5.0
"""For showing them at the end: with SQS down, the rest shows itself when its time is over."""

SINGLE_CALL_SECONDS = 30.0
"""How often a hidden message is called to be the probe, when none is in hand."""

PROBE_SECONDS = 60.0
"""Longest pause before a message in hand is tried again, whatever was asked for."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How many messages stay in hand, and how long things take."""

    places: int
    longest_seconds: float
    horizon_seconds: float


class _Hidden(NamedTuple):
    lease: Lease
    until: float
    """Loop time at which it shows itself."""

    since: float
    """Loop time at which it was hidden first."""


class WaitingRoom:
    """Holds back what an open breaker blocks, as long as others are free."""

    def __init__(
        self,
        acks: Acks,
        valve: Valve,
        waits: Waits,
        state_of: Callable[[str], State],
        random: Random,
    ) -> None:
        """`state_of`: the worst state among the breakers that a handler needs closed."""
        self._acks = acks
        self._valve = valve
        self._waits = waits
        self._state_of = state_of
        self._random = random
        self._clock = asyncio.get_running_loop().time
        self._staying: Counter[str] = Counter()
        self._hidden: dict[str, OrderedDict[str, _Hidden]] = {}
        self._next_single_call = float("-inf")

    @property
    def hidden(self) -> dict[str, int]:
        """Return how many messages are hidden, by handler; safe from any thread."""
        return {handler: len(messages) for handler, messages in list(self._hidden.items())}

    async def stay(self, message: Message, retry: Retry) -> bool:
        """Keep a message in hand until it is worth another try; False when it has to go."""
        handler = retry.failure.handler
        if handler is None or not self._has_place(handler, message):
            return False
        self._staying[handler] += 1
        try:
            end = self._clock() + min(retry.after or LOOK_SECONDS, PROBE_SECONDS)
            # At least one look apart: a breaker that lets one probe through refuses the others.
            while self._clock() < end or self._state_of(handler) == "open":
                await asyncio.sleep(LOOK_SECONDS)
                if self._valve.stopped:
                    return False
            return True
        finally:
            self._staying[handler] -= 1

    def hide_seconds(self, message: Message, retry: Retry) -> float | None:
        """Return for how long to hide a blocked message; None when no breaker blocks it.

        As long again as it has waited: an outage of hours then costs a handful of receives. 0 in a
        drain: nobody would call it back.
        """
        handler = retry.failure.handler
        if not retry.outage or handler is None or self._state_of(handler) == "closed":
            return None
        if self._valve.stopped:
            return 0
        waited = self._clock() - self._hidden_since(handler, message)
        seconds = max(self._waits.longest_seconds, waited) * self._random.uniform(*LONG)
        return min(seconds, max(PROBE_SECONDS, self._waits.horizon_seconds - _age(message)))

    def remember(self, lease: Lease, retry: Retry, seconds: float) -> None:
        """Note a message that was hidden, to be called back."""
        if not seconds or retry.failure.handler is None:
            return
        # Without its body: a thousand of them may wait.
        message = replace(lease.message, body="", attributes={})
        until = self._clock() + seconds
        hidden = self._hidden.setdefault(retry.failure.handler, OrderedDict())
        since = self._hidden_since(retry.failure.handler, message)
        hidden[message.id] = _Hidden(Lease(message, until), until, since)
        if len(hidden) > REMEMBERED:
            hidden.popitem(last=False)

    async def call_back(self) -> None:
        """Show what is hidden for upstreams that are back; to be called when something succeeded.

        While a breaker is half-open, one message at most is shown, if none is in hand to ask.
        """
        for handler in self._in_hiding():
            state = self._state_of(handler)
            if state == "closed":
                await self._show_all(handler)
            elif state == "half_open" and not self._staying[handler]:
                await self._show_one(handler)

    async def aclose(self) -> None:
        """Show what is hidden, as this process will not call it back; not beyond some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                for handler in self._in_hiding():
                    await self._show_all(handler)

    def _in_hiding(self) -> Iterator[str]:
        """Yield each handler of which something is hidden when its turn comes.

        While one is called back, another success may call back those of the next.
        """
        return (handler for handler in list(self._hidden) if handler in self._hidden)

    def _has_place(self, handler: str, message: Message) -> bool:
        return (
            self._state_of(handler) != "closed"
            and self._staying[handler] < PROBES_TO_CLOSE
            and self._staying.total() < self._waits.places
            and _age(message) < self._waits.horizon_seconds
            and not self._valve.stopped
        )

    def _hidden_since(self, handler: str, message: Message) -> float:
        hidden = self._hidden.get(handler)
        before = hidden.get(message.id) if hidden else None
        return before.since if before else self._clock()

    async def _show_one(self, handler: str) -> None:
        if self._clock() >= self._next_single_call:
            self._next_single_call = self._clock() + SINGLE_CALL_SECONDS
            await self._show(handler, 1)

    async def _show_all(self, handler: str) -> None:
        log.info("hidden_called_back", handler=handler, messages=len(self._hidden[handler]))
        while self._hidden.get(handler):
            await self._show(handler, CALLED_AT_ONCE)

    async def _show(self, handler: str, at_most: int) -> None:
        hidden = self._hidden[handler]
        called = [hidden.pop(key) for key in list(islice(hidden, at_most))]
        if not hidden:
            del self._hidden[handler]
        # What is about to show itself may be in other hands when our word comes.
        due = self._clock() + 1
        shown = (self._acks.show_again(one.lease, 0) for one in called if one.until > due)
        await asyncio.gather(*shown)


def _age(message: Message) -> float:
    return 0.0 if message.sent_at is None else time.time() - message.sent_at
