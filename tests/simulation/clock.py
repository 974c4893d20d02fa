"""Virtual time: a loop without files that jumps to its next timer.

Not looptime: it runs 42 empty turns before each jump, and here an hour has a million of them.
"""

import asyncio
import contextlib
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

EPOCH = 1_800_000_000.0
"""The wall clock at the start of each simulation."""

MOST_TURNS = 50_000
"""Turns of the loop within one instant, beyond which something runs in circles."""


class HotLoop(AssertionError):
    """Tasks go on for ever and no time passes."""


class _Jump(selectors.SelectSelector):
    """Waits for nothing: it puts the clock forward instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError(f"nothing will ever happen again, at {self.now:.3f} s")
        if timeout > 0:
            self.now += timeout
            self._turns = 0
            return []
        self._turns += 1
        if self._turns > MOST_TURNS:
            self._turns = 0
            raise HotLoop(f"no time passes any more, at {self.now:.3f} s")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it in virtual time, wall clock included, without a line of log."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        with _wall_clock(runner.get_loop()), _silence():
            return runner.run(main())


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
