"""`worker run`: the daemon itself. It imports what it uses, and no more: that stays in memory."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


def run() -> NoReturn:
    """Take events from the queue until SIGTERM or SIGINT, then drain the messages in flight."""
    with spare_imports():
        from worker.app.jobs import load_settings
        from worker.app.main import run_worker
        from worker.telemetry import configure_logging

    settings = load_settings()
    configure_logging(settings.log.level, settings.log.format)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        code = runner.run(run_worker(settings))
    raise SystemExit(code)


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where the extra is installed, else None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


UNUSED = ("rich", "click")
"""Imported where they are installed: by structlog and httpx for what is printed to terminals, four
MiB."""


NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
"""Without it pydantic reads the entry points of all packages when the first model is made."""


@contextmanager
def spare_imports() -> Iterator[None]:
    """Import without collecting garbage, as there is none, and as if UNUSED were not there.

    The jobs of other packages are imported later, with all that they want.
    """
    missing = [name for name in UNUSED if name not in sys.modules]
    nothing: Any = None  # by which Python says that a module is not to be found
    sys.modules.update(dict.fromkeys(missing, nothing))
    plugins = os.environ.get(NO_PLUGINS)
    os.environ[NO_PLUGINS] = "true"
    gc.disable()
    try:
        yield
    finally:
        os.environ.pop(NO_PLUGINS)
        if plugins is not None:
            os.environ[NO_PLUGINS] = plugins
        gc.freeze()  # else the next collection goes through all of it: 40 ms
        gc.enable()
        for name in missing:
            del sys.modules[name]
