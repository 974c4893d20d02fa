"""Receives that survive anything: an error is counted, told, waited out, and tried again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import structlog

from worker.intake.message import Message
from worker.intake.queue import Queue, QueueError
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

STALLED_SECONDS = 20.0
"""Silence beyond the length of a poll after which it is given up."""

PAUSE_SECONDS = (1.0, 20.0)
"""Shortest and longest pause after a failed receive."""


@dataclass(frozen=True, slots=True)
class PollRules:
    """How the queue is asked."""

    wait_seconds: int
    visibility_seconds: int | None
    """Sent with each receive when set by the operator; otherwise the queue's own holds."""

    most_pollers: int


class Polls:
    """ReceiveMessage, and what is known from its answers."""

    patience = 3
    """Empty polls after which a surplus poller leaves."""

    def __init__(
        self, queue: Queue, rules: PollRules, *, clock: Callable[[], float], random: Random
    ) -> None:
        self.most_pollers = rules.most_pollers
        self.problem: str | None = None
        """Class or code of the error of the last receive; None when it did not fail."""

        self.answered_at: float | None = None
        """Clock time of the last answer, empty or not."""

        self.message_at: float | None = None
        self._queue = queue
        self._rules = rules
        self._clock = clock
        self._random = random
        self._failures = 0
        self._failed_at = float("-inf")
        self._stopped = asyncio.Event()

    async def receive(self, room: int) -> list[Message] | None:
        """Ask for up to `room` messages; None when the call failed."""
        began = self._clock()
        try:
            # A poll that hangs beyond all time-outs of the SDK is ended, and this poller goes on.
            async with asyncio.timeout(self._rules.wait_seconds + STALLED_SECONDS):
                messages = await self._queue.receive(
                    room,
                    wait_seconds=self._rules.wait_seconds,
                    visibility_seconds=self._rules.visibility_seconds,
                )
        except Exception as error:  # noqa: BLE001  a poller that dies in silence is the worst bug of all
            self._failed(error, began)
            return None
        self._answered(messages)
        return messages

    async def pause(self) -> None:
        """Wait after a failure, longer each time, with jitter; `stop` ends it."""
        shortest, longest = PAUSE_SECONDS
        ceiling = min(longest, shortest * 2 ** min(self._failures, 10))
        try:
            async with asyncio.timeout(self._random.uniform(shortest, ceiling)):
                await self._stopped.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """End pauses; running receives come to their own end."""
        self._stopped.set()

    def _answered(self, messages: list[Message]) -> None:
        self.answered_at = self._clock()
        self._failures, self.problem = 0, None
        metrics.receives.labels("messages" if messages else "empty").inc()
        if messages:
            self.message_at = self.answered_at
            metrics.messages_received.inc(len(messages))

    def _failed(self, error: Exception, began: float) -> None:
        # Polls that were under way together failed of one cause: counted each, a blip or a thaw
        # would make a full house of pollers pause as after so many failures in a row.
        if began > self._failed_at:
            self._failures += 1
        self._failed_at = self._clock()
        code = error.code if isinstance(error, QueueError) else type(error).__name__
        self.problem = code
        metrics.receives.labels("error").inc()
        broken = isinstance(error, QueueError) and error.broken
        log.log(40 if broken else 30, "receive_failed", code=code, failures=self._failures)
