"""What is being done right now, for those who count by message, queue by job, and stop in time.

Guards stand far below the intake, and yet a breaker counts messages, a budget is shared by jobs,
and no effect may follow a lost lease. All three ask here, so that no handler has to pass it down.

And of what was done, for the scaler: how many replicas the shared budget keeps busy.
"""

import asyncio
from asyncio import CancelledError
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil, inf
from types import TracebackType
from typing import Final, NamedTuple, Self

from msgspec import Struct


def _held() -> bool:
    return True


class Work(Struct, eq=False):
    """One run of one job on one message. Times are the loop's."""

    message_id: str
    job: str
    began_at: float = 0.0
    ends_by: float = inf
    """When the run is cancelled; put off by what it waits for a token or the budget."""

    waits_until: float = inf
    """Latest end of such a wait: the retry horizon, the job's age limit, SQS's twelve hours."""

    probe: bool = False
    """Chosen to find out whether an upstream is back: half-open breakers let it pass."""

    failed_before: bool = False
    """It failed in an earlier run: as a probe it says little."""

    waiting_for: str = ""
    """`token`, `budget`, `batch`; empty while it works. It may be released at once then."""

    holds_lease: Callable[[], bool] = _held
    """Whether the message is still ours: asked before each effect."""

    task: asyncio.Task[None] | None = None
    """Cancelled when it is overdue."""

    overdue: bool = False

    _waits: int = 0
    _waiting_since: float = 0.0

    @property
    def works(self) -> "tuple[Work, ...]":
        """Itself: it stands for a group where code works for it alone."""
        return (self,)

    def start_waiting(self, what: str, now: float) -> None:
        """Let no deadline run from now on; several waits at once count as one."""
        if not self._waits:
            self._waiting_since = now
        self._waits += 1
        self.waiting_for = what

    def stop_waiting(self, now: float) -> None:
        """End one wait; with the last one the deadline runs again."""
        self._waits -= 1
        if not self._waits:
            self.waiting_for = ""
            self.ends_by += now - self._waiting_since


class WorkGroup(Struct, eq=False):
    """The works that running code works for; others may join it, and wait along, or leave."""

    works: tuple[Work, ...] = ()
    _waits: int = 0
    _what: str = ""

    def join(self, works: tuple[Work, ...], now: float) -> None:
        """Add works to those that share what is under way."""
        self.works += works
        if self._waits:
            for work in works:
                work.start_waiting(self._what, now)

    def leave(self, works: tuple[Work, ...], now: float) -> None:
        """Take works out that no longer care."""
        left = list(self.works)
        for work in works:
            left.remove(work)  # once: the same one may have joined by two ways
        self.works = tuple(left)
        if self._waits:
            for work in works:
                work.stop_waiting(now)

    def start_waiting(self, what: str, now: float) -> None:
        """Begin a wait of all of them."""
        self._waits += 1
        self._what = what
        if self._waits == 1:
            for work in self.works:
                work.start_waiting(what, now)

    def stop_waiting(self, now: float) -> None:
        """End it, for all that are there by now."""
        self._waits -= 1
        if not self._waits:
            for work in self.works:
                work.stop_waiting(now)


_NONE = WorkGroup()
_current: ContextVar[Work | WorkGroup] = ContextVar("work", default=_NONE)


def current_work() -> tuple[Work, ...]:
    """Return what the running code works for: none for a command, several within a batch."""
    return _current.get().works


begin = _current.set
"""Says what the running task works for, until it ends: each message has a task of its own."""


@contextmanager
def working_for(works: Iterable[Work]) -> Iterator[WorkGroup]:
    """Work for all of them within the block: one call that answers several messages."""
    group = WorkGroup(tuple(works))
    before = _current.set(group)
    try:
        yield group
    finally:
        _current.reset(before)


@contextmanager
def waiting_for(what: str, clock: Callable[[], float]) -> Iterator[None]:
    """Let no deadline run within the block: nothing is done in it but to wait for `what`."""
    group = _current.get()
    if group is _NONE:
        yield
        return
    group.start_waiting(what, clock())
    try:
        yield
    finally:
        group.stop_waiting(clock())


class Deadline:
    """Ends a block with TimeoutError once so many seconds have passed.

    `asyncio.timeout` for one use, without its coroutines, states and moves: those are four fifths
    of its CPU, and each call to an upstream is within two of them.
    """

    __slots__ = ("_cancelling", "_seconds", "_task", "_timer", "passed")

    _task: asyncio.Task[object]
    _timer: asyncio.TimerHandle

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.passed = False
        """Whether it was this deadline that ended the block."""

    def __enter__(self) -> Self:
        """Begin; must be within a task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._task, self._cancelling = task, task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._pass)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        # Another cancellation besides is to go on as one, as asyncio's own rule is.
        if self.passed and self._task.uncancel() <= self._cancelling and kind is CancelledError:
            raise TimeoutError from error

    def _pass(self) -> None:
        self.passed = True
        self._task.cancel()


class OncePerKey:
    """Remembers, within this process, which effects of which events are done.

    For effects at sinks that know no key: when one of several fails, the message comes back, and
    the others must not be had twice. After a restart they are; then their ids are the same.
    """

    def __init__(self, max_entries: int = 50_000) -> None:
        self._max_entries = max_entries
        self._done: OrderedDict[Hashable, None] = OrderedDict()

    async def once(self, step: Hashable, effect: Callable[[], Awaitable[object]]) -> None:
        """Await the effect unless the step is done; it is done when the effect did not raise."""
        if step in self._done:
            return
        await effect()
        self._done[step] = None
        if len(self._done) > self._max_entries:
            self._done.popitem(last=False)


WINDOW_SECONDS = 120
"""What is known of the traffic is that of the last two minutes: the budget counts by the minute."""

ROUNDING = 0.05
"""Of a replica: one more for less than that would have next to nothing to do."""

LEAST_SECONDS, LEAST_CALLS = 30, 10
"""Fewer say nothing of the traffic."""

UNLIMITED = 1000
"""Replicas that are useful where the budget is not what limits them: no fleet has more."""


class _Use(NamedTuple):
    at: float
    calls: float
    messages: float
    cpu_seconds: float
    busy_seconds: float


class ReplicasUseful:
    """How many replicas the shared budget keeps busy; one more than that would only wait for it.

        useful = ceil(budget ÷ u)      u = min(own limit, calls ÷ busy)

    `u` is what one replica would use a minute if it never waited for the budget: the calls that it
    made in a minute by the share of itself that it needed for them. That share is the greater one
    of two: of its permits, without messages that wait for the budget, and of a core. So the figure
    does not depend on whether the budget is used up now. Where fewer than one call is made for two
    messages, other replicas are of use to the rest of them, budget or not.
    """

    def __init__(self, per_minute: float, own_per_minute: float, concurrency: int) -> None:
        """`per_minute`: of all replicas; `own_per_minute`: most that one may use."""
        self._per_minute: Final = per_minute
        self._own_per_minute: Final = own_per_minute
        self._concurrency: Final = concurrency
        self._uses: deque[_Use] = deque()

    def add(
        self,
        *,
        at: float,
        calls: float,
        messages: float,
        cpu_seconds: float,
        busy_seconds: float,
    ) -> None:
        """Take what this replica has done since its start, `at` a time of a monotonic clock.

        `calls`: requests of the budget. `busy_seconds`: of messages in flight, in which they did
        not wait for the budget; of two at once, twice.
        """
        self._uses.append(_Use(at, calls, messages, cpu_seconds, busy_seconds))
        while at - self._uses[0].at > WINDOW_SECONDS:
            self._uses.popleft()

    def figure(self) -> int:
        """Return the figure; 0 while too little is known, so that nothing is limited by it.

        The scrape's thread asks, too: it only reads.
        """
        if not self._uses:
            return 0
        since, now = self._uses[0], self._uses[-1]
        seconds, calls = now.at - since.at, now.calls - since.calls
        messages = now.messages - since.messages
        if seconds < LEAST_SECONDS or max(messages, calls) < LEAST_CALLS:
            return 0
        if calls < messages / 2:
            return UNLIMITED
        busy = self._busy(since, now)
        possible = 60 * calls / seconds / busy if busy > 0 else self._own_per_minute
        useful = ceil(self._per_minute / min(self._own_per_minute, possible) - ROUNDING)
        return max(1, min(UNLIMITED, useful))

    def _busy(self, since: _Use, now: _Use) -> float:
        """Return the share of this replica that was needed: of its permits, or of a core."""
        seconds = now.at - since.at
        of_permits = (now.busy_seconds - since.busy_seconds) / (seconds * self._concurrency)
        return max(of_permits, (now.cpu_seconds - since.cpu_seconds) / seconds)
