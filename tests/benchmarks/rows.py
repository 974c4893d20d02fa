"""A report over a million conversations: CPU, memory, and how long it keeps the event loop.

By pages of the query and of jobs, on loopback, each run a process of its own that writes its files
to memory. The loop is watched by a task that wants a turn each millisecond: what is measured is the
CPU that the process used before that turn came, as the clock also counts what other processes took.
CPU of a row is all of it, HTTP and the files too; beside it stands the least: to decode it by
orjson, and nothing else, a few pages of them every now and then while the report is written.

    python -m tests.benchmarks.rows URL DAYS query|jobs DIMENSIONS

prints what one run found, as JSON.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import harmonic_mean

import orjson

from tests.benchmarks.analytics import FIRST, PER_DAY, QUERY_PAGE, conversations
from tests.benchmarks.children import answer_of, memory_mib, upstream
from tests.benchmarks.contest import say
from tests.benchmarks.findings import Claim, Findings, Spread, Table, at_speed
from tests.benchmarks.size import Size
from tests.support.factories import a_report_due
from tests.support.genesys import an_api_at
from tests.support.report_child import peak_kb, watched_loop
from worker.api import DetailsJobs
from worker.app.daemon import spare_collections
from worker.cli.run import fast_loop
from worker.clients.genesys.details_query import PlatformPages
from worker.jobs.reports.files import File
from worker.jobs.reports.handler import written
from worker.jobs.reports.reader import DetailsReader
from worker.telemetry.logs import configure_logging

DAYS, DAYS_QUICK = 50, 5
USUAL = (("query", "mediaType,queueId"), ("jobs", "mediaType,queueId"))
MANY_GROUPS = (("query", "userId,queueId"), ("jobs", "userId,queueId"))
"""A thousand groups, whose page takes more memory than all the reading."""

MANY_DAYS = 10
"""Of the reports with many groups: by then each group is there, and the loop is kept the longest
by one page or one slice, however many follow."""

CONCURRENCY = 4
LEAST_PAGES = 5
LEAST_SECONDS = 0.25
"""Between two readings of the machine's speed, which changes within seconds."""

LEAST_US = 3.5
"""Of a conversation that orjson decodes, on the machine of the aims: 2.8 by itself, and a quarter
more between two pages of a report, which leave nothing of it in the processor's caches."""


class Memory:
    """Keeps the files of a report."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def put(self, folder: str, file: File) -> str:
        """Keep one file."""
        self.files[folder + file.name] = file.body
        return file.name

    async def get(self, key: str) -> bytes | None:
        """Return one, if it is there."""
        return self.files.get(key)


async def run(url: str, days: int, way: str, group_by: str) -> dict[str, float]:
    """Write the report of so many days; return what it took."""
    start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    due = a_report_due(
        start=start,
        end=start + timedelta(days=days),
        media_type=None,
        queue_ids=(),
        filters=(),
        group_by=tuple(group_by.split(",")),
    )
    async with an_api_at(url) as api:
        jobs = DetailsJobs(api) if way == "jobs" else None
        reader = DetailsReader(
            api,
            PlatformPages(QUERY_PAGE),
            CONCURRENCY,
            lambda: datetime(2030, 1, 1, tzinfo=UTC),
            jobs,
        )
        page = conversations(0, QUERY_PAGE)
        spare_collections()
        held, began, cpu = memory_mib(os.getpid()), time.perf_counter(), time.process_time()
        async with watched_loop() as kept, yardstick(page) as least:
            manifest = await written(due, reader, Memory(), now=lambda: datetime.now(UTC))
        used, seconds = time.process_time() - cpu - sum(least), time.perf_counter() - began
    return {
        "rows": manifest.conversation_count,
        "groups": manifest.row_count,
        "cpu_us": used / manifest.conversation_count * 1e6,
        "seconds": seconds,
        "mib": peak_kb() / 1024 - held,
        "kept_cpu_ms": kept.cpu_ms,
        "kept_ms": kept.ms,
        "least_us": least_us(least),
    }


@asynccontextmanager
async def yardstick(page: bytes) -> AsyncIterator[list[float]]:
    """Decode a few pages now and then during the block; yield the CPU seconds of each time."""
    taken = [_decoding(page)]
    task = asyncio.create_task(_decode_now_and_then(page, taken))
    try:
        yield taken
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _decode_now_and_then(page: bytes, taken: list[float]) -> None:
    while True:
        await asyncio.sleep(LEAST_SECONDS)
        taken.append(_decoding(page))


def _decoding(page: bytes) -> float:
    began = time.thread_time()
    for _ in range(LEAST_PAGES):
        orjson.loads(page)
    return time.thread_time() - began


def least_us(taken: Sequence[float]) -> float:
    """Return the CPU of one conversation that is decoded and dropped.

    The harmonic mean, as readings are taken by the clock: of half a minute at each of two speeds,
    the faster one has most of the work.
    """
    return harmonic_mean(taken) / LEAST_PAGES / QUERY_PAGE * 1e6


async def measure(size: Size) -> Findings:
    """Measure all ways by turns."""
    days = DAYS_QUICK if size.quick else DAYS
    found: dict[tuple[str, str], list[dict[str, float]]] = {
        way: [] for way in (*USUAL, *MANY_GROUPS)
    }
    async with upstream("analytics") as url:
        for _ in range(size.rounds):
            for way, rounds in found.items():
                read = days if way in USUAL else min(days, MANY_DAYS)
                rounds.append(await answer_of("rows", url, read, *way))
                say(f"rows: {way}: {rounds[-1]}")
    return reported(found, days * PER_DAY)


def reported(found: dict[tuple[str, str], list[dict[str, float]]], rows: int) -> Findings:
    """Return the table, and the claims on the worst of the ways."""
    columns = ("cpu_us", "least_us", "seconds", "mib", "kept_cpu_ms", "kept_ms")
    spreads = {
        way: [Spread([one[name] for one in rounds]) for name in columns]
        for way, rounds in found.items()
    }
    table = Table(
        "rows",
        f"Reports over up to {rows:,} conversations",
        (
            *(
                "pages by",
                "grouped by",
                "rows",
                "groups",
                "CPU, µs a row",
                "of orjson alone, µs",
                "seconds",
            ),
            *("MiB more", "loop kept, CPU ms", "by the clock, ms"),
        ),
        [
            [*way, found[way][0]["rows"], found[way][0]["groups"], *spread]
            for way, spread in spreads.items()
        ],
    )
    mib = max((spreads[way][3] for way in USUAL), key=_middle)
    cpu = max((_at_speed("cpu_us", found[way]) for way in USUAL), key=_middle)
    kept = max((_at_speed("kept_cpu_ms", rounds) for rounds in found.values()), key=_middle)
    text = "CPU of a report over a million conversations, at the speed of the aims"
    claims = [
        Claim(text, cpu, 25, unit="s"),  # µs a row are seconds of a million rows
        Claim("memory that it adds", mib, 48, unit="MiB"),
        Claim("CPU for which it keeps the event loop at most, at that speed", kept, 20, unit="ms"),
    ]
    return Findings([table], claims=claims)


def _at_speed(name: str, rounds: Sequence[Mapping[str, float]]) -> Spread:
    return at_speed([one[name] for one in rounds], [one["least_us"] for one in rounds], LEAST_US)


def _middle(spread: Spread) -> float:
    return spread.middle


if __name__ == "__main__":
    configure_logging("error", "json")
    address, asked_days, by, dimensions = sys.argv[1:]
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        report = runner.run(run(address, int(asked_days), by, dimensions))
    sys.stdout.write(orjson.dumps(report).decode() + "\n")
