"""A command of the worker that has ended: its exit code, and what it wrote."""

import asyncio
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


async def run_of(process, seconds=60):
    """Return what came of a process with pipes, once it has ended; TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        out, err = await process.communicate()
    return Run(process.returncode, out.decode(), err.decode())
