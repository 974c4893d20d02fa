"""Virtual time: a loop without files that jumps to its next timer.

Not looptime: it runs 42 empty turns before each jump, and here an hour has a million of them.
"""

import asyncio
import contextlib
import selectors
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

EPOCH = 1_800_000_000.0
"""The wall clock at the start of each simulation."""

MOST_TURNS = 50_000
"""Turns of the loop within one instant, beyond which something runs in circles."""


STUCK_SECONDS = 10.0
"""CPU time of one turn of the loop, after which a task is taken not to yield any more."""


class HotLoop(AssertionError):
    """Tasks go on for ever and no time passes."""


class _Stuck(SystemExit):
    """Leaves a loop whose task does not yield: asyncio keeps any other exception in the task."""


class _Jump(selectors.SelectSelector):
    """Waits for nothing: it puts the clock forward instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.turns = 0
        self._in_a_row = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.turns += 1
        if timeout is None:
            raise RuntimeError(f"nothing will ever happen again, at {self.now:.3f} s")
        if timeout > 0:
            self.now += timeout
            self._in_a_row = 0
            return []
        self._in_a_row += 1
        if self._in_a_row > MOST_TURNS:
            self._in_a_row = 0
            raise HotLoop(f"no time passes any more, at {self.now:.3f} s")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it in virtual time, wall clock included, without a line of log. Raises HotLoop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        try:
            with _wall_clock(loop), _silence(), _alarm(loop.jump):
                return runner.run(main())
        except _Stuck:
            raise HotLoop(f"a task does not yield any more, at {loop.time():.3f} s") from None


@contextlib.contextmanager
def _alarm(jump: _Jump) -> Iterator[None]:
    """Look now and then, by the CPU's time, whether the loop turns."""
    turns = -1

    def look(*_: object) -> None:
        nonlocal turns
        if jump.turns == turns:
            raise _Stuck
        turns = jump.turns

    before = signal.signal(signal.SIGVTALRM, look)
    signal.setitimer(signal.ITIMER_VIRTUAL, STUCK_SECONDS, STUCK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def _wall_clock(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    real = time.time
    time.time = lambda: EPOCH + loop.time()
    try:
        yield
    finally:
        time.time = real


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(*_: object) -> Any:
    raise structlog.DropEvent
