"""`worker run`: the daemon itself."""

import asyncio
from collections.abc import Callable

import typer


def run() -> None:
    """Take events from the queue until SIGTERM or SIGINT, then drain the messages in flight."""
    import structlog

    from worker.app.jobs import load_settings, unknown_settings
    from worker.app.main import run_worker
    from worker.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log.level, settings.log.format)
    for warning in unknown_settings():
        structlog.get_logger(__name__).warning("setting_unknown", warning=warning)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        code = runner.run(run_worker(settings))
    raise typer.Exit(code)


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where the extra is installed, else None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
