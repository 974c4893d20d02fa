"""Memory and cost over many messages; memory at rest and the start of the whole worker.

A long run is the intake of no-op messages, every one with an event of its own, in tenths: memory
is read after each. What is held at rest is `worker run` with all handlers on, on the demo's
emulators, after it has been ready for some seconds. Memory is VmRSS: what is held, not the peak.
The CPU of the imports is what a process uses for them alone, beyond a Python that does nothing.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, linear_regression, median

import orjson

from tests.benchmarks.children import ROOT, memory_mib
from tests.benchmarks.contest import say
from tests.benchmarks.contestants import OURS
from tests.benchmarks.events import event
from tests.benchmarks.findings import Claim, Curve, Findings, Spread, Table, at_speed
from tests.benchmarks.growth import swings
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Load, running
from tests.benchmarks.size import Size, python_build
from worker.demo.environment import Environment, make_fixtures, open_environment
from worker.demo.process import WorkerProcess

MESSAGES = 200_000
MESSAGES_QUICK = 20_000
PARTS = 10
FIFTH = 2
"""Parts that the claim on cost takes as one: a part is little more than a second, and the machine's
speed changes within that."""

CONCURRENCY = 64
WARM_MESSAGES = 1_000
LONGEST_SECONDS = 120
STARTS = 5
STARTS_QUICK = 3
REST_SECONDS = 3
YARDSTICK = "import asyncio, ssl, uvloop, orjson, msgspec, httptools, prometheus_client"
YARDSTICK_SECONDS = 0.11
"""CPU of importing what no worker of this kind can do without, on the machine of the aims."""

IMPORTS = """
import worker.cli.main
from worker.cli.run import spare_imports
with spare_imports():
    import uvloop, worker.app.main
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The state after so many messages."""

    messages: int
    mib: float
    cpu_us: float
    """A message, over the tenth that ends here."""


@dataclass(frozen=True, slots=True)
class Start:
    """What it takes to start, and what is held then."""

    seconds: Spread
    mib: Spread
    import_seconds: Spread
    """CPU."""

    yardsticks: Spread
    """CPU of YARDSTICK, one for each start."""


async def measure(size: Size) -> Findings:
    """Make the long runs and the starts."""
    messages = MESSAGES_QUICK if size.quick else MESSAGES
    runs = [await long_run(messages, size.work) for _ in range(size.rounds)]
    imports, yardsticks, ready, idle = [], [], [], []
    async with open_environment() as emulators:
        await make_fixtures(emulators)
        for _ in range(STARTS_QUICK if size.quick else STARTS):
            imports.append(seconds_of(IMPORTS))
            yardsticks.append(seconds_of(YARDSTICK))
            seconds, mib = await start(emulators)
            say(f"memory: imports {imports[-1]:.3f} s, ready in {seconds:.2f} s, {mib:.1f} MiB")
            ready.append(seconds)
            idle.append(mib)
    return reported(runs, Start(*map(Spread, (ready, idle, imports, yardsticks))))


async def long_run(messages: int, work: Path) -> list[Sample]:
    """Work through so many messages and sample at each tenth."""
    path, part, samples = work / "messages-part.jsonl", messages // PARTS, []
    async with QueueServer() as server:
        await server.reset()
        async with running(OURS, server, Load(CONCURRENCY), work) as one:
            # Imports, connections and first-time caches are there before anything is counted.
            bounds = [0, WARM_MESSAGES, *(WARM_MESSAGES + part * n for n in range(1, PARTS + 1))]
            for first, end in pairwise(bounds):
                write_part(path, first, end)
                # Deleted ones are counted without message 0.
                begin = max(first - 1, 1)
                await server.watch(one.session, begin=begin, end=end - 1, seconds=LONGEST_SECONDS)
                await server.fill(path, first, end - first)
                stretch = await one.traffic(server, LONGEST_SECONDS)
                cpu_us = 1e6 * stretch.cpu_seconds / stretch.deleted
                samples.append(Sample(end, memory_mib(one.session), cpu_us))
                say(f"memory: {samples[-1]}")
    return samples


def write_part(path: Path, first: int, end: int) -> None:
    """Write messages `first` to `end`; the server finds each by its number modulo their count."""
    count = end - first
    lines = [orjson.dumps([event(number), {}]) for number in range(first, end)]
    turn = -first % count
    path.write_bytes(b"\n".join(lines[turn:] + lines[:turn]))


async def start(emulators: Environment) -> tuple[float, float]:
    """Start `worker run`; return seconds to ready and MiB at rest."""
    with tempfile.TemporaryDirectory(prefix="worker-bench-") as folder:
        began = time.monotonic()
        async with WorkerProcess(emulators.variables(), Path(folder) / "worker.log") as worker:
            seconds = time.monotonic() - began
            await asyncio.sleep(REST_SECONDS)
            return seconds, memory_mib(worker._process.pid)


def seconds_of(imports: str) -> float:
    """Return the CPU seconds of imports, beyond a Python that does nothing."""
    return _cpu_seconds(imports) - _cpu_seconds("pass")


def _cpu_seconds(code: str) -> float:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603  our own code
        [sys.executable, "-c", code], env=environ, stdout=quiet, stderr=quiet
    )
    _, process.returncode, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime


def slope_per_100k(samples: Sequence[Sample]) -> float:
    """Return MiB that 100,000 messages add, by the line that fits the samples best."""
    line = linear_regression(
        [sample.messages for sample in samples], [sample.mib for sample in samples]
    )
    return line.slope * 100_000


def reported(runs: Sequence[Sequence[Sample]], start: Start) -> Findings:
    """Return tables, curves and claims; the first sample is the warm-up and is only shown."""
    middle = [_middle(samples) for samples in zip(*runs, strict=True)]
    rows = [[one.messages, round(one.mib, 1), round(one.cpu_us, 1)] for one in middle]
    columns = ("messages", "MiB", "CPU µs/message")
    tables = [
        Table("memory", "Over many messages", columns, rows, ["medians of the rounds"]),
        Table(
            "start",
            "worker run, all handlers on",
            ("seconds to ready", "CPU s of the imports", "of the yardstick", "MiB at rest"),
            [[start.seconds, start.import_seconds, start.yardsticks, start.mib]],
            [f"yardstick: {YARDSTICK}", f"Python {python_build()}"],
        ),
    ]
    memory = [(float(sample.messages), sample.mib) for sample in middle]
    cost = [(float(sample.messages), sample.cpu_us) for sample in middle[1:]]
    curves = [
        Curve("memory", "Memory over messages", "messages", "MiB", {"ours": memory}),
        Curve("memory_cost", "Cost over messages", "messages", "CPU µs/message", {"ours": cost}),
    ]
    return Findings(tables, curves, [*_long_claims(runs), *_start_claims(start)])


def _middle(samples: Sequence[Sample]) -> Sample:
    return Sample(
        samples[0].messages,
        median(sample.mib for sample in samples),
        median(sample.cpu_us for sample in samples),
    )


def _long_claims(runs: Sequence[Sequence[Sample]]) -> list[Claim]:
    costs = swings([_by_fifths(run[1:]) for run in runs])
    slopes = Spread([slope_per_100k(run[1:]) for run in runs])
    last = runs[0][-1].messages - WARM_MESSAGES
    return [
        Claim(f"cost of a message, ± from 1,000 to {last:,} messages", costs, 0.2),
        Claim("memory added by 100,000 messages", slopes, 5, unit="MiB"),
    ]


def _by_fifths(samples: Sequence[Sample]) -> list[float]:
    costs = [sample.cpu_us for sample in samples]
    return [fmean(costs[first : first + FIFTH]) for first in range(0, len(costs), FIFTH)]


def _start_claims(start: Start) -> list[Claim]:
    imports, ready = (
        at_speed(spread.rounds, start.yardsticks.rounds, YARDSTICK_SECONDS)
        for spread in (start.import_seconds, start.seconds)
    )
    return [
        Claim("memory at rest, all jobs on", start.mib, 64, unit="MiB"),
        Claim("CPU of the imports, at the speed of the aims", imports, 0.35, unit="s"),
        Claim("start to ready, at that speed", ready, 1.5, unit="s"),
    ]
