"""The worker's own intake under a handler that does what the peers' handlers do.

Queue, leases, acks, delivery, idempotency store, health and drain are built by the worker's own
composition root and run by its own daemon, on the loop of `worker run`; left out are the clients of
Genesys and the CRM, which nothing here calls. The event is parsed in full, as for the real handler.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from worker.app.context import new_context
from worker.app.daemon import Daemon, Signals
from worker.app.intake import build_intake
from worker.app.jobs import load_settings
from worker.cli.run import fast_loop
from worker.events.origin import Result
from worker.intake.router import Route
from worker.jobs.voice.events import VoiceScored
from worker.ops.health import Health
from worker.settings import Settings
from worker.telemetry.logs import configure_logging
from worker.telemetry.tracing import traced

# The peers have it beside them, and their environments know no package of ours.
sys.path.insert(0, str(Path(__file__).parent / "peers"))
from work import work_async


class NothingToWatch:
    """Stands for the sampling of queue depth: two calls a minute, and no Genesys to ask."""

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.Event().wait()


async def handle(event: VoiceScored) -> Result:
    """Do the work of a peer's handler."""
    await work_async(event.origin.event_id)
    return Result.OK


async def run(settings: Settings) -> int:
    """Work until a signal; return the exit code."""
    signals = Signals()
    signals.listen()
    async with AsyncExitStack() as stack:
        stack.enter_context(traced(settings.otel, str(settings.sqs.queue_url)))
        routes = {"voice": Route(job="voice", run=handle, proof="sink")}
        intake = await build_intake(new_context(settings, stack), routes)
        health = Health(stall_seconds=settings.ops.stall_seconds, checks={})
        return await Daemon(intake, NothingToWatch(), health, 25).run(signals)


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings.log.level, settings.log.format)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        sys.exit(runner.run(run(settings)))
