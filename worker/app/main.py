"""From settings to a running worker, in order of need."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog

from worker import __version__
from worker.app.context import AppContext, new_context
from worker.app.daemon import Daemon, Signals
from worker.app.findings import start_warnings
from worker.app.intake import Unreachable, build_intake, build_routes, warnings_of
from worker.app.snapshot import Sampler
from worker.ops import Health, OpsServer, Status
from worker.settings import Settings
from worker.telemetry import log_sink_problem, metrics, traced

log = structlog.get_logger(__name__)

EXIT_UNREACHABLE = 3


async def run_worker(settings: Settings) -> int:
    """Run until a signal; return the exit code. Raises ConfigurationError before any receive."""
    signals = Signals()
    signals.listen()
    async with AsyncExitStack() as stack:
        # Entered first, so left last: the spans of the drain are sent too.
        stack.enter_context(traced(settings.otel, settings.queues()[0].url))
        sampler = Sampler(settings)
        health = Health(
            stall_seconds=settings.ops.stall_seconds, checks=sampler.checks(), sink=log_sink_problem
        )
        # Before the queue answers: a worker that waits for it is alive, and says why it waits.
        server = OpsServer(settings.ops, health, Status(sampler.snapshot, health))
        stack.enter_context(server)
        _log_start(settings, server.url)
        sampler.warn(start_warnings(settings))
        stack.push_async_callback(_ended, asyncio.create_task(health.run(), name="health"))
        context = new_context(settings, stack)
        try:
            daemon = await _unless_stopped(signals, _build(context, sampler, health))
        except Unreachable as error:
            log.error("queue_unreachable", reason=str(error))  # noqa: TRY400  no bug: no traceback
            return EXIT_UNREACHABLE
        if daemon is None:
            log.info("worker_stopped", finished=0, released=0, stranded=0, exit_code=0)
            return 0
        return await daemon.run(signals)


async def _build(context: AppContext, sampler: Sampler, health: Health) -> Daemon:
    routes = await build_routes(context)
    intake = await build_intake(context, routes)
    sampler.attach(intake, context.upstreams, [*context.shared.genesys.values()])
    queues = [one.opened for one in intake.queues]
    sampler.warn(await warnings_of(queues, context.settings))
    log.info(
        "worker_started",
        jobs=sorted(intake.delivery.jobs),
        queues=[one.binding.name for one in queues],
        region=context.aws.region,
        organization_id=context.settings.genesys.organization_id,
        concurrency=intake.permits.count,
    )
    return Daemon(intake, sampler, health, context.settings.sqs.drain_seconds)


async def _unless_stopped(signals: Signals, work: Coroutine[Any, Any, Daemon]) -> Daemon | None:
    """Await the work; None when a signal came first: nothing is in flight yet, so it just ends."""
    building = asyncio.create_task(work, name="start")
    stop = asyncio.create_task(signals.stop.wait(), name="stop")
    await asyncio.wait({building, stop}, return_when=asyncio.FIRST_COMPLETED)
    if building.done():
        stop.cancel()
        return building.result()
    building.cancel()
    await asyncio.wait({building}, timeout=1)
    return None


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _log_start(settings: Settings, url: str) -> None:
    metrics.info.info({"version": __version__})
    log.info(
        "worker_starting",
        version=__version__,
        queues=[one.name for one in settings.queues()],
        region=settings.aws.region,
        organization_id=settings.genesys.organization_id,
    )
    log.info("ops_server_listening", url=url)
    for job in settings.unused_jobs():
        log.info("job_off", job=job, missing=settings.disabled_jobs()[job])
