"""The life of the worker: start, run until a signal, drain, stop."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from worker import __version__
from worker.app.heap import spare_collections
from worker.app.intake import Intake
from worker.app.signals import Signals
from worker.app.watch import Watch
from worker.intake.consumer import DrainReport
from worker.ops.health import Health
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

HURRY_SECONDS = 1.0
"""After the second signal: time to make visible again what was in hand."""

EXIT_FAILED = 1


@dataclass(frozen=True, slots=True)
class Daemon:
    """A built worker."""

    intake: Intake
    watch: Watch
    health: Health
    drain_seconds: float

    async def run(self, signals: Signals) -> int:
        """Work until a signal or until a part fails; return the exit code."""
        metrics.info.info({"version": __version__})
        spare_collections()
        # The heartbeat outlives the drain: it belongs to the messages, not to the intake.
        side = [_owned(part.run(), name) for name, part in self._side_parts()]
        consuming = _owned(self.intake.consumer.run(), "consumer")
        log.info("worker_started", version=__version__, concurrency=self._concurrency())
        failed = await _first_failure(signals, [consuming, *side])
        self.health.drain()
        report = await self._drain(signals)
        for task in (*side, consuming):
            task.cancel()
        await asyncio.wait([*side, consuming], timeout=HURRY_SECONDS)
        code = EXIT_FAILED if failed or report.stranded else 0
        _say_goodbye(report, code)
        return code

    def _side_parts(self) -> list[tuple[str, Any]]:
        return [("heartbeat", self.intake.leases), ("health", self.health), ("watch", self.watch)]

    def _concurrency(self) -> int:
        return self.intake.consumer.slots.count

    async def _drain(self, signals: Signals) -> DrainReport:
        drain: asyncio.Task[DrainReport] = _owned(self._let_finish(), "drain")
        hurry = _owned(signals.hurry.wait(), "hurry")
        await asyncio.wait({drain, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not drain.done():
            await self._rush()
        return drain.result()

    async def _let_finish(self) -> DrainReport:
        report = await self.intake.consumer.drain(self.drain_seconds)
        await self.intake.room.aclose()
        await self.intake.acks.close()
        return report

    async def _rush(self) -> None:
        """Show again what can be within a second, then end the process the hard way.

        A plain return would wait for handlers that may ignore their cancellation.
        """
        await self.intake.consumer.let_go(HURRY_SECONDS)
        _say_goodbye(self.intake.consumer.report(), EXIT_FAILED)
        sys.stdout.flush()
        os._exit(EXIT_FAILED)


def _owned(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    return asyncio.create_task(work, name=name)


async def _first_failure(signals: Signals, parts: list[asyncio.Task[Any]]) -> bool:
    """Wait for a signal; True when a part of the worker ended before."""
    stop = _owned(signals.stop.wait(), "stop")
    done, _ = await asyncio.wait({stop, *parts}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    failed = done - {stop}
    for task in failed:
        # None of them ends by itself: without it, messages would be lost or run twice.
        log.error("part_failed", part=task.get_name(), exc_info=task.exception())
    return bool(failed)


def _say_goodbye(report: DrainReport, code: int) -> None:
    for fate in ("finished", "released", "stranded"):
        metrics.drain_messages.labels(fate).set(getattr(report, fate))
    log.info(
        "worker_stopped",
        finished=report.finished,
        released=report.released,
        stranded=report.stranded,
        exit_code=code,
    )
