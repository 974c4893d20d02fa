"""What a million no-op events cost in a Lambda with Powertools, beside a task of this worker.

The CPU of both is measured: the function's, invoked in process with Powertools' batch processor and
parser, and ours, a whole intake on the bench's SQS. Dollars are by the model and the prices of
deploy/COST.md. A real function costs more than this: the runtime's own CPU, cold starts, logs and
waiting are not in it, and it has no idempotency, which Powertools keeps in DynamoDB.
"""

import asyncio
import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from tests.benchmarks import intake
from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import FOLDER, OURS
from tests.benchmarks.cost import (
    COUNTS_FILE,
    HOURS,
    LAMBDA_GB,
    MILLION,
    PRICES_FILE,
    TASK_GB,
    TASK_VCPU,
    Comparison,
    Prices,
)
from tests.benchmarks.environments import python_of
from tests.benchmarks.events import write_events
from tests.benchmarks.findings import Cell, Findings, Spread, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Failed
from tests.benchmarks.size import Size

GB_OF_A_VCPU = 1.769
"""Memory at which a function has one vCPU; less has as much less.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

BATCHES = (10, 1)
"""Records an invocation: of a backlog, and of events that come one by one."""

RECORDS, RECORDS_QUICK = 6000, 2000
VOICE_SECONDS = 0.1
"""Genesys' answer, of the waiting that COST.md compares."""

COLUMNS = (
    *("what", "CPU µs an event", "billed ms", "$ a million, compute", "and SQS"),
    "one task is cheaper from, millions a month",
)
NOTES = (
    f"function: {LAMBDA_GB} GB on arm64, {LAMBDA_GB / GB_OF_A_VCPU:.2f} vCPU; billed by the ms",
    f"task: {TASK_VCPU} vCPU and {TASK_GB} GB on arm64, always busy; idle it costs the same",
    "from how many on a task is cheaper: without SQS, which deploy/COST.md counts too",
    "CPU of this machine, taken for that of AWS; waiting, cold starts and logs are not in it",
    "waiting: CPU as measured, and the model of deploy/COST.md for the calls, one after the other",
)


@dataclass(frozen=True, slots=True)
class Function:
    """Powertools, invoked with so many records at once."""

    records: int

    @property
    def name(self) -> str:
        """As it is in the table."""
        return f"Lambda with Powertools, {self.records} an invocation"


@dataclass(frozen=True, slots=True)
class Cpu:
    """One run."""

    cpu_us: float

    def __str__(self) -> str:
        return f"{self.cpu_us:.0f} µs"


async def measure(size: Size) -> Findings:
    """Measure the function and ours by turns."""
    functions = [Function(records) for records in BATCHES]
    async with QueueServer() as server:
        trial = _Trial(size, intake.Trial(size, server, 0.0))
        found = await in_turns("functions", [OURS, *functions], size.rounds, trial)
    return reported(found)


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    ours: intake.Trial

    async def __call__(self, one: Function | intake.Contestant) -> Cpu:
        if not isinstance(one, Function):
            return Cpu((await self.ours(one)).cpu_us)
        count = RECORDS_QUICK if self.size.quick else RECORDS
        return Cpu(await _invoked(one.records, count, self.size.work))


async def _invoked(each: int, count: int, work: Path) -> float:
    """Return the CPU microseconds of a record. Raises Failed, NotInstalled."""
    python, source = await python_of("powertools", work), work / "events-functions.txt"
    write_events(source, count)
    process = await asyncio.create_subprocess_exec(
        *(str(python), "powertools_peer.py", str(each), str(count)),
        cwd=FOLDER,
        env={"BENCH_EVENTS": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise Failed(f"powertools_peer.py ended with {process.returncode}")
    return float(output)


def reported(found: Results[Cpu]) -> Findings:
    """Return the table; no claim rests on prices."""
    prices = Prices(json.loads(PRICES_FILE.read_text()))
    counted = json.loads(COUNTS_FILE.read_text())
    rates = {float(rate): calls for rate, calls in counted["sqs_calls_a_second"].items()}
    idle = Comparison({}, prices, rates)
    rows = [_task(found.of(OURS, "cpu_us"), idle, prices)]
    rows += [_function(one, found, idle, prices) for one in map(Function, BATCHES)]
    voice = Comparison(counted["jobs"]["voice"]["plain"], prices, rates)
    rows.append(_waiting(found.of(Function(1), "cpu_us"), voice, prices))
    title = "A million events: a task that is busy, and Lambda with Powertools"
    return Findings([Table("functions", title, COLUMNS, rows, NOTES, found.notes())])


def _task(cpu: Spread, task: Comparison, prices: Prices) -> list[Cell]:
    hours = cpu.middle / TASK_VCPU / 3600  # µs an event are seconds of a million
    return [
        "a task of ours, 10 a receive",
        cpu,
        None,
        hours * task.fixed() / HOURS,
        prices.of("sqs", MILLION / 5),
        None,
    ]


def _function(one: Function, found: Results[Cpu], task: Comparison, prices: Prices) -> list[Cell]:
    cpu = found.of(one, "cpu_us")
    if not cpu.rounds:
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    sqs = prices.of("sqs", 2 * MILLION / one.records)
    billed = billed_ms(cpu.middle, one.records)
    dollars = compute_dollars(billed, one.records, prices)
    return [one.name, cpu, billed, dollars, sqs, even(task.fixed(), dollars)]


def _waiting(cpu: Spread, voice: Comparison, prices: Prices) -> list[Cell]:
    name = f"`voice`, waiting for Genesys {VOICE_SECONDS * 1000:.0f} ms a call"
    if not cpu.rounds:
        return [name, *[None] * (len(COLUMNS) - 1)]
    billed = ceil(voice.seconds(VOICE_SECONDS) * 1000) + billed_ms(cpu.middle, 1)
    dollars = compute_dollars(billed, 1, prices)
    return [name, cpu, billed, dollars, prices.of("sqs", 2 * MILLION), even(voice.fixed(), dollars)]


def billed_ms(cpu_us: float, records: int) -> int:
    """Return the milliseconds that an invocation is billed: its CPU on its part of a vCPU."""
    return ceil(cpu_us * records / 1000 / (LAMBDA_GB / GB_OF_A_VCPU))


def compute_dollars(billed: int, records: int, prices: Prices) -> float:
    """Return what a million events cost in such invocations, SQS apart."""
    invocations = MILLION / records
    seconds = invocations * billed / 1000 * LAMBDA_GB
    return prices.of("lambda", invocations) + prices.of("lambda_second", seconds)


def even(fixed: float, dollars: float) -> float:
    """Return the millions of events a month from which on one task costs less, SQS apart."""
    return fixed / dollars
