"""Permits and receives: what is fetched can run, and no error ends the fetching.

Permits say how many messages may be worked on at once, and how several queues share them. Half of
an equal part is reserved for each queue, the rest is free to all. While a queue below its equal
part waits, one above its own gets no new permit: an upstream that hangs costs its queue only.
In a backlog with all of them in use, a poller waits for several, as a receive should bring several.

Receives survive anything: an error is counted, logged, waited out, and tried again. After a small
one the next waits for a moment, so that messages that come one by one are received together.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import structlog
from msgspec import Struct

from worker.clients.aws import MAX_BATCH, Message, Queue, QueueError
from worker.telemetry import metrics

LINGER_SECONDS = 0.01
"""How long a poller with few permits waits for more, so that receives stay batches."""

GATHERED_SHARE = 10
"""In a backlog a poller waits for a tenth of its queue's permits, for a window at most: taken one
by one, they cost slow handlers a receive for each message. Five of a hundred are idle for it."""

WINDOW_SECONDS = 0.075
"""Pause after a small receive: it halves the calls of a steady load, and delays no message by more
than itself and a round trip. In a backlog, the longest wait for more permits than one."""


class _Waiter:
    __slots__ = ("at_least", "at_most", "granted", "queue", "timed")

    def __init__(self, queue: str, at_most: int, at_least: int) -> None:
        self.queue = queue
        self.at_most = at_most
        self.at_least = at_least
        self.timed = at_least == 1
        self.granted: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class Received(Struct, frozen=True):
    """What came of a receive."""

    messages: list[Message] | None
    """None: the call failed."""

    at_most: int
    """What was asked for."""

    @property
    def is_empty(self) -> bool:
        """Whether there were none; not whether the call failed."""
        return self.messages == []

    @property
    def is_full(self) -> bool:
        """Whether there may be more of them."""
        return len(self.messages or ()) == self.at_most > 0


class Permits:
    """A semaphore over all queues; `free + used == count` holds at every await."""

    def __init__(self, count: int, queues: Sequence[str]) -> None:
        self.count = count
        self.used = dict.fromkeys(queues, 0)
        self.closed = False
        self._all_used = 0
        self._equal = count // len(queues)
        self._reserved = self._equal // 2 if len(queues) > 1 else 0
        self._messages: deque[_Waiter] = deque()
        self._pollers: deque[_Waiter] = deque()
        """Served after the messages: what is leased already must not wait for a poll."""

    @property
    def free(self) -> int:
        """Permits that no queue has."""
        return self.count - self._all_used

    def available(self, queue: str, at_most: int) -> int:
        """Return how many permits the queue could have now."""
        free = self.count - self._all_used
        if len(self.used) == 1:
            return min(at_most, free)
        for other, used in self.used.items():
            if other != queue and used < self._reserved:
                free -= self._reserved - used
        if any(one != queue and self.used[one] < self._equal for one in self._waiting()):
            free = min(free, self._equal - self.used[queue])
        return max(0, min(at_most, free))

    async def acquire(self, queue: str) -> bool:
        """Wait for the permit of one message in flight; False once `close` was called."""
        return bool(await self._acquire(queue, 1, 1, self._messages))

    async def acquire_some(self, queue: str, at_most: int, *, several: bool = False) -> int:
        """Wait for a permit, then take up to `at_most` for a receive; 0 once `close` was called.

        `several`: wait for some of them, though not for long.
        """
        at_most = min(at_most, self.count)
        # Without it, single permits freed by quick handlers would cost a call per message; those
        # that end at once are through after a turn of the loop.
        for pause in (0, LINGER_SECONDS):
            if 0 < self.available(queue, at_most) < at_most and not self.closed:
                await asyncio.sleep(pause)
        enough = min(at_most, max(1, self._equal // GATHERED_SHARE)) if several else 1
        permits = await self._acquire(queue, at_most, enough, self._pollers)
        # After a wait: what else was freed in the turn of the loop that freed the first.
        more = 0 if self.closed else self.available(queue, at_most - permits)
        if more:
            self._grant(queue, more)
            self._serve()  # above its equal part now, this queue holds none back any more
        return permits + more

    def release(self, queue: str, permits: int = 1) -> None:
        """Return permits. Raises ValueError on more than were taken: the limit would be gone."""
        left = self.used[queue] - permits
        if left < 0:
            raise ValueError(f"{permits} permits released, {left + permits} taken")
        self.used[queue] = left
        self._all_used -= permits
        if self._messages or self._pollers:
            self._serve()

    def close(self) -> None:
        """Grant nothing more; those that wait get none."""
        self.closed = True
        for line in self._lines():
            while line:
                waiter = line.popleft()
                if not waiter.granted.done():
                    waiter.granted.set_result(0)

    def _waiting(self) -> Iterator[str]:
        """Yield the queue of each that waits."""
        return (waiter.queue for line in self._lines() for waiter in line)

    def _lines(self) -> tuple[deque[_Waiter], deque[_Waiter]]:
        return self._messages, self._pollers

    async def _acquire(self, queue: str, at_most: int, at_least: int, line: deque[_Waiter]) -> int:
        if self.closed:
            return 0
        if (granted := self.available(queue, at_most)) >= at_least:
            self._grant(queue, granted)
            return granted
        waiter = _Waiter(queue, at_most, at_least)
        line.append(waiter)
        self._begin_window(queue)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter, line)
            raise

    def _begin_window(self, queue: str) -> None:
        """Let one permit be enough, after a window, for the poller of the queue that is next."""
        first = next((one for one in self._pollers if one.queue == queue), None)
        if first is not None and not first.timed:
            first.timed = True
            first.granted.get_loop().call_later(WINDOW_SECONDS, self._make_do, first)

    def _make_do(self, waiter: _Waiter) -> None:
        waiter.at_least = 1
        self._serve()

    def _grant(self, queue: str, permits: int) -> None:
        self.used[queue] += permits
        self._all_used += permits

    def _serve(self) -> None:
        # Again after each grant: the last of another queue to wait may have been served by it, and
        # one above its equal part gets what is left then.
        while self._serve_some():
            pass

    def _serve_some(self) -> bool:
        """Grant what can be granted; True when that was something."""
        served = False
        for line in self._lines():
            for waiter in tuple(line):
                if waiter.granted.done():  # cancelled, and not yet gone by itself
                    self._remove(waiter, line)
                    served = True  # whom it held back may be served
                elif (
                    self._all_used < self.count
                    and (granted := self.available(waiter.queue, waiter.at_most)) >= waiter.at_least
                ):
                    self._remove(waiter, line)
                    self._grant(waiter.queue, granted)
                    waiter.granted.set_result(granted)
                    served = True
        return served

    def _remove(self, waiter: _Waiter, line: deque[_Waiter]) -> None:
        line.remove(waiter)
        self._begin_window(waiter.queue)

    def _leave(self, waiter: _Waiter, line: deque[_Waiter]) -> None:
        """Undo a cancelled wait, whether it was over or not."""
        if waiter in line:
            self._remove(waiter, line)
            self._serve()
        elif not waiter.granted.cancelled() and (granted := waiter.granted.result()):
            self.release(waiter.queue, granted)


log = structlog.get_logger(__name__)

STALLED_SECONDS = 20.0
"""Silence beyond the length of a poll after which it is given up."""

PAUSE_SECONDS = (1.0, 20.0)
"""Shortest and longest pause after a failed receive."""

BACKLOG_SECONDS = 5.0
"""A message that lay longer is of a backlog, however few came with it: SQS asks a sample of its
servers. Not less: clocks may differ by that much."""

_ENDED = float("-inf")

_received = metrics.messages_received.labels()
_full, _empty = metrics.receives.labels("messages"), metrics.receives.labels("empty")


class PollSettings(Struct, frozen=True):
    """How the queue is polled."""

    wait_seconds: int
    visibility_seconds: int | None
    """Sent with each receive when set by the operator; otherwise the queue's own holds."""

    most_pollers: int
    small_receives: int = 3
    """Small receives, empty ones among them, after which a surplus poller leaves."""


class Poller:
    """ReceiveMessage, and what is known from its answers."""

    def __init__(
        self, queue: Queue, settings: PollSettings, *, clock: Callable[[], float], random: Random
    ) -> None:
        self.settings = settings
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
        self._loop = asyncio.get_running_loop()
        self._polls: dict[asyncio.Task[Any] | None, float] = {}
        """Receives that run, and when each is given up."""

    async def receive(self, at_most: int, *, wait: bool = True) -> list[Message] | None:
        """Ask for up to `at_most` messages; None when the call failed. `wait`: a long poll."""
        began = self._clock()
        seconds = self.settings.wait_seconds if wait else 0
        poll = asyncio.current_task(self._loop)
        self._polls[poll] = began + seconds + STALLED_SECONDS
        try:
            messages = await self._queue.receive(
                at_most, wait_seconds=seconds, visibility_seconds=self.settings.visibility_seconds
            )
        except asyncio.CancelledError:
            if poll is None or self._polls[poll] > began or poll.uncancel():
                raise  # not by `end_stalled`, or not by it alone
            self._failed(TimeoutError(), began)
            return None
        except Exception as error:  # noqa: BLE001  a poller that dies in silence is the worst bug of all
            self._failed(error, began)
            return None
        finally:
            del self._polls[poll]
        self._answered(messages)
        return messages

    def end_stalled(self) -> None:
        """End the receives that hang beyond all time-outs of the client; their pollers go on.

        Called by a ticker: `asyncio.timeout` is three system calls, and 4 us, for each receive.
        """
        now = self._clock()
        for poll in [one for one, ends_at in self._polls.items() if ends_at <= now]:
            self._polls[poll] = _ENDED
            if poll is not None:
                poll.cancel()

    async def gathers(self, messages: list[Message], at_most: int) -> bool:
        """Wait after a small receive, for messages to gather on the queue; `stop` ends it.

        Return whether it was small: less than half full, and not of a backlog. After an empty one,
        which was a long poll, nothing is waited for.
        """
        if 2 * len(messages) >= at_most or self._are_of_a_backlog(messages):
            return False
        if messages:
            await self._rest(WINDOW_SECONDS)
        return True

    async def pause(self) -> None:
        """Wait after a failure, longer each time, with jitter; `stop` ends it."""
        shortest, longest = PAUSE_SECONDS
        ceiling = min(longest, shortest * 2 ** min(self._failures, 10))
        await self._rest(self._random.uniform(shortest, ceiling))

    def stop(self) -> None:
        """End pauses; running receives come to their own end."""
        self._stopped.set()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return

    def _are_of_a_backlog(self, messages: list[Message]) -> bool:
        """Return whether one lay on the queue; what comes again was hidden meanwhile.

        A backlog that gives its messages one by one is not asked about: it costs a window each.
        """
        new = [one.sent_at for one in messages if one.sent_at and one.receive_count < 2]
        age = self._queue.age_seconds
        return len(messages) > 1 and any(age(sent_at) > BACKLOG_SECONDS for sent_at in new)

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
        log.log(
            40 if broken else 30,
            "receive_failed",
            action="sqs:ReceiveMessage",
            code=code,
            failures=self._failures,
        )


def most_pollers(concurrency: int) -> int:
    """Return how many pollers keep that many handlers busy, each able to receive a full batch.

    Rounded down: one more would live on what the others leave, and call for a handful each time.
    """
    return max(1, concurrency // MAX_BATCH)
