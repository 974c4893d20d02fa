"""What is being done right now, for those who count by message, queue by job, and stop in time.

Guards stand far below the intake, and yet a breaker counts messages, a budget is shared by jobs,
and no effect may follow a lost lease. All three ask here, so that no handler has to pass it down.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf


def _held() -> bool:
    return True


@dataclass(slots=True, eq=False)
class Work:
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
    """`token`, `budget`; empty while it works. It may be released at once then."""

    holds_lease: Callable[[], bool] = _held
    """Whether the message is still ours: asked before each effect."""

    task: asyncio.Task[None] | None = None
    """Cancelled when it is overdue."""

    overdue: bool = False


_current: ContextVar[tuple[Work, ...]] = ContextVar("work", default=())


def current_work() -> tuple[Work, ...]:
    """Return what the running code works for: none for a command, several within a batch."""
    return _current.get()


def begin(work: Work) -> None:
    """Say what the running task works for, until it ends: each message has a task of its own."""
    _current.set((work,))


@contextmanager
def working_for(works: tuple[Work, ...]) -> Iterator[None]:
    """Work for all of them within the block: one call that answers several messages."""
    before = _current.set(works)
    try:
        yield
    finally:
        _current.reset(before)


@contextmanager
def waiting_for(what: str, clock: Callable[[], float]) -> Iterator[None]:
    """Let no deadline run within the block: nothing is done in it but to wait for `what`."""
    works, began = _current.get(), clock()
    for work in works:
        work.waiting_for = what
    try:
        yield
    finally:
        waited = clock() - began
        for work in works:
            work.waiting_for = ""
            work.ends_by += waited
