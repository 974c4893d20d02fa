"""How the cost of a message grows: with concurrency, size of the body, entries cached, processes.

The intake of no-op messages, as in the benchmark of that name, without round trip.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import nan
from pathlib import Path

import orjson

from tests.benchmarks.children import answer_of
from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import OURS
from tests.benchmarks.events import event
from tests.benchmarks.findings import Claim, Curve, Findings, Spread, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Load, Running, all_poll, running
from tests.benchmarks.server.sessions import session_seconds
from tests.benchmarks.size import Size

CONCURRENCIES = (1, 2, 8, 32, 64, 128, 256, 512)
FLAT_FROM = 8
BODY_KIB = (1, 4, 16, 64, 256)
PROCESSES = (1, 2)
CACHE_ENTRIES = (100, 1_000, 10_000, 100_000)
CONCURRENCY = 64
MESSAGES_EACH = 1000
"""For each place of a small concurrency, which is slow."""

MOST_BYTES = 48 * 1024 * 1024
"""Of bodies in one run."""

LONGEST_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Point:
    """One place on a curve."""

    concurrency: int = CONCURRENCY
    body_kib: int = 1
    processes: int = 1

    @property
    def name(self) -> str:
        """As it is reported on the way."""
        return f"concurrency {self.concurrency}, {self.body_kib} KiB, {self.processes} processes"

    def messages(self, wanted: int) -> int:
        """Return how many messages it gets."""
        return min(
            wanted * self.processes,
            self.concurrency * MESSAGES_EACH,
            MOST_BYTES // (self.body_kib * 1024),
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """One run."""

    cpu_us: float
    per_second: float

    def __str__(self) -> str:
        return f"{self.cpu_us:.0f} µs, {self.per_second:.0f}/s"


async def measure(size: Size) -> Findings:
    """Return a curve for each way to grow, and the claim about concurrency."""
    points = [
        *(Point(concurrency=count) for count in CONCURRENCIES),
        *(Point(body_kib=kib) for kib in BODY_KIB[1:]),
        *(Point(processes=count) for count in PROCESSES[1:]),
    ]
    async with QueueServer() as server:
        trial = Trial(size, server)
        found = await in_turns("growth", points, size.rounds, trial)
    return reported(found, await _cache(size.rounds))


@dataclass(frozen=True, slots=True)
class Trial:
    """Works through one backlog a time."""

    size: Size
    server: QueueServer

    async def __call__(self, point: Point) -> Cost:
        """Start as many processes as the point wants, then fill the queue. Raises Failed."""
        count = point.messages(self.size.messages)
        messages = self.size.work / f"messages-{point.body_kib}kib.jsonl"
        write_padded(messages, count, point.body_kib * 1024)
        await self.server.reset()
        async with AsyncExitStack() as stack:
            started = [
                await stack.enter_async_context(
                    running(OURS, self.server, Load(point.concurrency), self.size.work)
                )
                for _ in range(point.processes)
            ]
            await all_poll(started, self.server)
            before = _cpu_seconds(started)
            await self.server.watch(0, begin=0, end=count - 1, seconds=LONGEST_SECONDS)
            await self.server.fill(messages, 0, count)
            stretch = await started[0].traffic(self.server, LONGEST_SECONDS)
            used = _cpu_seconds(started) - before
        return Cost(1e6 * used / stretch.deleted, stretch.deleted / stretch.seconds)


def write_padded(path: Path, count: int, size: int) -> None:
    """Write so many messages whose bodies are of that size, or as small as an event can be."""
    with path.open("wb") as file:
        for number in range(count):
            body = event(number)
            detail, _, rest = body.partition('"eventBody":{')
            room = max(0, size - len(body) - len('"padding":"",'))
            padded = f'{detail}"eventBody":{{"padding":"{"x" * room}",{rest}'
            file.write(orjson.dumps([padded, {}]) + b"\n")


def _cpu_seconds(started: Sequence[Running]) -> float:
    return sum(session_seconds(one.session) for one in started)


async def _cache(rounds: int) -> Mapping[int, Mapping[str, Spread]]:
    taken: dict[int, list[dict[str, float]]] = {entries: [] for entries in CACHE_ENTRIES}
    for _ in range(rounds):
        for entries, costs in taken.items():
            costs.append(await answer_of("cache_lookups", entries))
    return {
        entries: {what: Spread([cost[what] for cost in costs]) for what in ("hit", "load")}
        for entries, costs in taken.items()
    }


def reported(found: Results[Cost], cache: Mapping[int, Mapping[str, Spread]]) -> Findings:
    """Return tables, curves and claim; a point without rounds could not be measured."""
    cpu = {
        name: Spread([one.cpu_us for one in all_]) for name, all_ in found.rounds.items() if all_
    }
    rate = {
        name: Spread([one.per_second for one in all_])
        for name, all_ in found.rounds.items()
        if all_
    }
    rows = [[name, cpu[name], rate[name]] for name in cpu]
    grown = Table(
        "growth", "No-op messages", ("point", "CPU µs/message", "messages/s"), rows, found.notes()
    )
    cached = Table(
        "cache",
        "Cache lookups",
        ("entries", "CPU µs a hit", "CPU µs a load that evicts"),
        [[entries, cost["hit"], cost["load"]] for entries, cost in cache.items()],
    )
    by_concurrency = [
        (one, cpu[Point(concurrency=one).name].middle)
        for one in CONCURRENCIES
        if Point(concurrency=one).name in cpu
    ]
    flat = [cost for concurrency, cost in by_concurrency if concurrency >= FLAT_FROM]
    text = "cost of a message, ± from concurrency 8 to 512"
    return Findings(
        [grown, cached],
        _curves(by_concurrency, cpu, cache),
        [Claim(text, swing(flat), 0.2)],
    )


def swing(costs: Sequence[float]) -> float:
    """Return how far costs are from the middle of their range, as a share of it: 0.2 is ± 20 %.

    nan, which bears nothing out, for less than two.
    """
    if len(costs) < 2:
        return nan
    return (max(costs) - min(costs)) / (max(costs) + min(costs))


def _curves(
    by_concurrency: Sequence[tuple[float, float]],
    cpu: Mapping[str, Spread],
    cache: Mapping[int, Mapping[str, Spread]],
) -> list[Curve]:
    by_body = [
        (kib, cpu[Point(body_kib=kib).name].middle)
        for kib in BODY_KIB
        if Point(body_kib=kib).name in cpu
    ]
    by_entries = {
        what: [(entries, cost[what].middle) for entries, cost in cache.items()]
        for what in ("hit", "load")
    }
    label = "CPU µs/message"
    return [
        _curve("growth_concurrency", "Cost by concurrency", ("concurrency", label), by_concurrency),
        _curve("growth_body", "Cost by size of the body", ("KiB", label), by_body),
        Curve("growth_cache", "Cost by entries cached", "entries", "CPU µs", by_entries, True),  # noqa: FBT003  whether logarithmic
    ]


def _curve(
    name: str, title: str, labels: tuple[str, str], points: Sequence[tuple[float, float]]
) -> Curve:
    return Curve(name, title, *labels, {"ours": points}, logarithmic=True)
