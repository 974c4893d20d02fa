"""From settings to a running worker, in order of need."""

from contextlib import AsyncExitStack

import structlog

from worker.app.daemon import Daemon
from worker.app.genesys import build_genesys
from worker.app.handlers.routes import build_router
from worker.app.intake import build_intake
from worker.app.signals import Signals
from worker.app.watch import Watch
from worker.app.workshop import Workshop, new_workshop
from worker.ops.health import Health
from worker.ops.server import OpsServer
from worker.ops.status import Status
from worker.settings import Settings
from worker.telemetry.tracing import traced

log = structlog.get_logger(__name__)


async def run_worker(settings: Settings) -> int:
    """Run until a signal; return the exit code. Raises ConfigurationError before any receive."""
    signals = Signals()
    signals.listen()
    async with AsyncExitStack() as stack:
        # Entered first, so left last: the spans of the drain are sent too.
        stack.enter_context(traced(settings.otel, str(settings.sqs.queue_url)))
        daemon = await _build(new_workshop(settings, stack))
        return await daemon.run(signals)


async def _build(workshop: Workshop) -> Daemon:
    settings = workshop.settings
    _tell_handlers(settings)
    genesys = await build_genesys(workshop)
    router = await build_router(workshop, genesys)
    intake = await build_intake(workshop, router, lambda: genesys.tokens.problem)
    watch = Watch(settings.sqs, intake, workshop.guards, genesys)
    health = Health(stall_seconds=settings.ops.stall_seconds, checks=watch.checks())
    server = OpsServer(settings.ops, health, Status(watch.snapshot, health))
    workshop.stack.enter_context(server)
    log.info("ops_server_listening", url=server.url)
    return Daemon(intake, watch, health, settings.sqs.drain_seconds)


def _tell_handlers(settings: Settings) -> None:
    log.info("handlers_on", handlers=settings.enabled_handlers())
    for name, missing in settings.disabled_handlers().items():
        log.info("handler_off", handler=name, missing=missing)
