"""A report on its own; prints its peak memory, and how long it kept the event loop.

`python -m tests.support.report_child URL DAYS FOLDER`.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from tests.support.genesys import DAY, NOW, a_day, an_api_at
from worker.clients.genesys.details_query import PlatformPages
from worker.jobs.reports.files import File
from worker.jobs.reports.handler import written
from worker.jobs.reports.reader import DetailsReader

TICK_SECONDS = 0.001


@dataclass(slots=True)
class Kept:
    """How long the event loop was kept from a task that wanted its turn each millisecond."""

    ms: float = 0.0
    """By the clock, which also counts what other processes took."""

    cpu_ms: float = 0.0
    """CPU that this process used meanwhile, that millisecond included."""


@asynccontextmanager
async def watched_loop() -> AsyncIterator[Kept]:
    """Watch the loop during the block."""
    kept = Kept()
    watching = asyncio.create_task(_watch(kept))
    try:
        yield kept
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _watch(kept: Kept) -> None:
    while True:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(TICK_SECONDS)
        kept.ms = max(kept.ms, (time.perf_counter() - began - TICK_SECONDS) * 1000)
        kept.cpu_ms = max(kept.cpu_ms, (time.process_time() - cpu) * 1000)


class Folder:
    """Keeps the files where the parent can read them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def put(self, folder: str, file: File) -> str:
        """Write one file, flat."""
        del folder
        path = self._path / file.name
        path.write_bytes(file.body)
        return str(path)

    async def get(self, key: str) -> bytes | None:
        """Have nothing."""
        del key
        return None


async def run(url: str, days: int, folder: Path) -> None:
    """Write the report of so many days."""
    due = replace(a_day(), end=DAY + timedelta(days=days))
    async with an_api_at(url) as api:
        reader = DetailsReader(api, PlatformPages(), 4, lambda: NOW)
        async with watched_loop() as kept:
            manifest = await written(due, reader, Folder(folder), now=lambda: NOW)
    result = {
        "count": manifest.conversation_count,
        "peak_mb": peak_kb() / 1024,
        "kept_ms": kept.cpu_ms,
    }
    sys.stdout.write(json.dumps(result) + "\n")


def peak_kb() -> int:
    """Return the peak of this program's memory.

    Not getrusage's: that is handed down over fork and exec, so it would be the parent's.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
