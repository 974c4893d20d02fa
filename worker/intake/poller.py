"""Receives that survive anything: an error is counted, logged, waited out, and tried again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import structlog

from worker.clients.aws import MAX_BATCH, Message, Queue, QueueError
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

STALLED_SECONDS = 20.0
"""Silence beyond the length of a poll after which it is given up."""

PAUSE_SECONDS = (1.0, 20.0)
"""Shortest and longest pause after a failed receive."""

_received = metrics.messages_received.labels()
_full, _empty = metrics.receives.labels("messages"), metrics.receives.labels("empty")


@dataclass(frozen=True, slots=True)
class PollRules:
    """How the queue is polled."""

    wait_seconds: int
    visibility_seconds: int | None
    """Sent with each receive when set by the operator; otherwise the queue's own holds."""

    most_pollers: int
    empty_polls: int = 3
    """Empty polls after which a surplus poller leaves: SQS asks a sample of its servers."""


class Poller:
    """ReceiveMessage, and what is known from its answers."""

    def __init__(
        self, queue: Queue, rules: PollRules, *, clock: Callable[[], float], random: Random
    ) -> None:
        self.rules = rules
        self.problem: str | None = None
        """Class or code of the error of the last receive; None when it did not fail."""

        self.answered_at: float | None = None
        """Clock time of the last answer, empty or not."""

        self.message_at: float | None = None
        self._queue = queue
        self._clock = clock
        self._random = random
        self._failures = 0
        self._failed_at = float("-inf")
        self._stopped = asyncio.Event()

    async def receive(self, at_most: int, *, wait: bool = True) -> list[Message] | None:
        """Ask for up to `at_most` messages; None when the call failed. `wait`: a long poll."""
        began = self._clock()
        seconds = self.rules.wait_seconds if wait else 0
        try:
            # A poll that hangs beyond all time-outs of the client is ended, and this one goes on.
            async with asyncio.timeout(seconds + STALLED_SECONDS):
                messages = await self._queue.receive(
                    at_most, wait_seconds=seconds, visibility_seconds=self.rules.visibility_seconds
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
        if messages:
            _full.value += 1
            _received.value += len(messages)
            self.message_at = self.answered_at
        else:
            _empty.value += 1

    def _failed(self, error: Exception, began: float) -> None:
        # Polls that were under way together failed of one cause: counted each, a short outage would
        # make all pollers pause as after so many failures in a row.
        if began > self._failed_at:
            self._failures += 1
        self._failed_at = self._clock()
        code = error.code if isinstance(error, QueueError) else type(error).__name__
        self.problem = code
        metrics.receives.labels("error").inc()
        broken = isinstance(error, QueueError) and error.broken
        log.log(40 if broken else 30, "receive_failed", code=code, failures=self._failures)


def most_pollers(concurrency: int) -> int:
    """Return how many pollers keep that many handlers busy, each able to receive a full batch.

    Rounded down: one more would live on what the others leave, and call for a handful each time.
    """
    return max(1, concurrency // MAX_BATCH)
