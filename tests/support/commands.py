"""Commands of the worker, in this process or in one of their own, and what came of them."""

import asyncio
import contextlib
import io
import json
import logging
import os
import sys
from dataclasses import dataclass
from unittest.mock import patch

import structlog

from worker.cli.main import main


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


async def run_here(environment, *arguments, seconds=60):
    """Run a command beside the emulators of this process, under no other environment.

    A process of its own takes 1.5 s of CPU to import the same again. For signals, terminals and
    the true exit code there is `run_as_process`.
    """
    async with asyncio.timeout(seconds):
        return await asyncio.to_thread(_run, environment, arguments)


async def run_as_process(environment, *arguments, seconds=60):
    """Run a command as an operator does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return await run_of(process, seconds)


async def run_of(process, seconds=60):
    """Return what came of a process with pipes, once it has ended; TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        out, err = await process.communicate()
    return Run(process.returncode, out.decode(), err.decode())


def _run(environment, arguments):
    with contextlib.ExitStack() as stack:
        stack.enter_context(process_as_before())
        stack.enter_context(patch.dict(os.environ, environment, clear=True))
        stack.enter_context(patch.object(sys, "argv", ["worker", *arguments]))
        out = stack.enter_context(contextlib.redirect_stdout(_Written()))
        err = stack.enter_context(contextlib.redirect_stderr(_Written()))
        try:
            main()
        except SystemExit as end:
            return Run(end.code or 0, out.text(), err.text())
    raise AssertionError("a command ends by an exit")


class _Written(io.TextIOWrapper):
    """A stream as a process has it, with a buffer below."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode()


@contextlib.contextmanager
def process_as_before():
    """Undo what a command sets for its whole process: logging, hooks."""
    root, hook, complain = logging.getLogger(), sys.excepthook, logging.raiseExceptions
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], sys.excepthook, logging.raiseExceptions = handlers, hook, complain
    root.setLevel(level)
    structlog.reset_defaults()
