"""The daemon: what runs beside the consumers, and the end of all of it."""

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import structlog
from msgspec import Struct

from worker import __version__
from worker.intake import DrainReport, Intake
from worker.ops import Health
from worker.telemetry import flush_logs, metrics

GC_THRESHOLD = 10_000
"""New objects between two collections. Python's own 700 are a few messages' worth: with 64 in
flight nearly all are still alive, so collections find nothing and cost a sixth of the CPU. Ten
thousand are a few MiB at most."""


def spare_collections() -> None:
    """Collect rarely, and freeze what exists now: code, models and clients stay.

    Off altogether would be faster by little, and errors, whose tracebacks are cycles, would pile
    up.
    """
    gc.collect()
    gc.freeze()
    _, middle, old = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD, middle, old)


EXIT_SECONDS = 4.0
"""After the second signal the process ends within that time, at any time."""


class Signals:
    """Counts signals; must be made in the loop that handles them."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        """Set by the first signal."""

        self.force = asyncio.Event()
        """Set by the second."""

        self._listening = False

    def listen(self) -> None:
        """Handle both signals in place of Python's own handlers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.came)
        self._listening = True

    def came(self) -> None:
        """Count one signal."""
        if self.stop.is_set() and not self.force.is_set():
            self.force.set()
            if self._listening:
                _exit_after(EXIT_SECONDS)
        self.stop.set()


def _exit_after(seconds: float) -> None:
    """End the process, whatever the event loop does by then: a drain, a start, a last close."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


log = structlog.get_logger(__name__)

FORCED_SECONDS = 1.0
"""After the second signal: time to make visible again what was in flight."""

ACK_MARGIN_SECONDS = 8.0
"""After the drain: time for the last acks, whatever SQS does."""

EXIT_FAILED = 1


class Sampler(Protocol):
    """Samples what nothing else asks for."""

    async def run(self) -> None:
        """Sample for ever."""


class Daemon(Struct, frozen=True):
    """A built worker."""

    intake: Intake
    sampler: Sampler
    health: Health
    drain_seconds: float

    async def run(self, signals: Signals) -> int:
        """Work until a signal or until a part fails; return the exit code."""
        spare_collections()
        # The heartbeats outlive the drain: they belong to the messages, not to the intake.
        side = [_owned(self.sampler.run(), "sampler")]
        side += [_owned(one.leases.run(), "heartbeat") for one in self.intake.consumers]
        consuming = [_owned(one.run(), f"consumer {one.name}") for one in self.intake.consumers]
        failed = await _first_failure(signals, [*consuming, *side])
        self.health.drain()
        report = await self._drain(signals)
        for task in (*side, *consuming):
            task.cancel()
        await asyncio.wait([*side, *consuming], timeout=FORCED_SECONDS)
        code = EXIT_FAILED if failed or report.stranded else 0
        _log_exit(report, code)
        if any(one.running for one in self.intake.consumers):
            flush_logs(FORCED_SECONDS)
            os._exit(code)  # the loop's end would wait for handlers that ignore their cancellation
        return code

    async def _drain(self, signals: Signals) -> DrainReport:
        drain: asyncio.Task[DrainReport] = _owned(self._let_finish(), "drain")
        force = _owned(signals.force.wait(), "force")
        await asyncio.wait({drain, force}, return_when=asyncio.FIRST_COMPLETED)
        force.cancel()
        if not drain.done():
            await self._force_exit()
        return drain.result()

    async def _let_finish(self) -> DrainReport:
        consumers = self.intake.consumers
        for one in consumers:
            one.stop()
        self.intake.permits.close()
        await asyncio.gather(*(one.drain(self.drain_seconds) for one in consumers))
        try:
            async with asyncio.timeout(ACK_MARGIN_SECONDS):
                await asyncio.gather(*(one.settlement.acks.close() for one in consumers))
        except TimeoutError:
            log.warning("acks_given_up", outstanding=sum(len(one.leases) for one in consumers))
        return _sum([one.report() for one in consumers])

    async def _force_exit(self) -> None:
        """Release what can be within a second, then end the process the hard way.

        A plain return would wait for handlers that may ignore their cancellation.
        """
        consumers = self.intake.consumers
        await asyncio.gather(*(one.let_go(FORCED_SECONDS) for one in consumers))
        _log_exit(_sum([one.report() for one in consumers]), EXIT_FAILED)
        flush_logs(FORCED_SECONDS)
        os._exit(EXIT_FAILED)


def _owned(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    return asyncio.create_task(work, name=name)


async def _first_failure(signals: Signals, parts: Sequence[asyncio.Task[Any]]) -> bool:
    """Wait for a signal; True when a part of the worker ended before."""
    stop = _owned(signals.stop.wait(), "stop")
    done, _ = await asyncio.wait({stop, *parts}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    failed = done - {stop}
    for task in failed:
        # None of them ends by itself: without it, messages would be lost or run twice.
        log.error("part_failed", part=task.get_name(), exc_info=task.exception())
    return bool(failed)


def _sum(reports: Sequence[DrainReport]) -> DrainReport:
    return DrainReport(
        finished=sum(one.finished for one in reports),
        released=sum(one.released for one in reports),
        stranded=sum(one.stranded for one in reports),
    )


def _log_exit(report: DrainReport, code: int) -> None:
    for disposition in ("finished", "released", "stranded"):
        metrics.drain_messages.labels(disposition).set(getattr(report, disposition))
    log.info(
        "worker_stopped",
        version=__version__,
        finished=report.finished,
        released=report.released,
        stranded=report.stranded,
        exit_code=code,
    )
