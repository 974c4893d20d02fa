"""A report on its own; prints its peak memory.

`python -m tests.support.report_child URL DAYS FOLDER`.
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from tests.support.genesys import DAY, NOW, a_day, an_api_at
from worker.clients.genesys.details_query import PlatformPages
from worker.jobs.reports.files import File
from worker.jobs.reports.handler import written
from worker.jobs.reports.reader import DetailsReader


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
        manifest = await written(due, reader, Folder(folder), now=lambda: NOW)
    result = {"count": manifest.conversation_count, "peak_mb": peak_kb() / 1024}
    sys.stdout.write(json.dumps(result) + "\n")


def peak_kb() -> int:
    """Return the peak of this program's memory.

    Not getrusage's: that is handed down over fork and exec, so it would be the parent's.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
