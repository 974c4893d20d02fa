"""Programs of the benchmarks as processes of their own: an upstream, or one figure asked for."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 300


@asynccontextmanager
async def upstream(kind: str, seconds: float = 0.0) -> AsyncIterator[str]:
    """Run an upstream whose answers take so long; give its URL."""
    program = ("tests.benchmarks.upstream", kind, str(seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *program, cwd=ROOT, stdin=-1, stdout=-1
    )
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def answer_of(module: str, *arguments: object) -> Any:
    """Run a module of this package and return the JSON of its last line.

    Raises RuntimeError when it fails, TimeoutError when it takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)),
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "error"},
        stdout=-1,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    return orjson.loads(output.splitlines()[-1])


def memory_mib(pid: int) -> float:
    """Return what memory a process holds now (VmRSS): not the peak, which `getrusage` reports."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
