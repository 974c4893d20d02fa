"""How the cost of a message grows: with concurrency, size of the body, entries cached, replicas.

The intake of no-op messages, as in the benchmark of that name, without round trip.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import combinations
from math import nan
from pathlib import Path
from statistics import median
from typing import NamedTuple

import orjson

from tests.benchmarks.children import answer_of
from tests.benchmarks.contest import LAPS, Results, in_turns, mean_turn
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
REPLICAS = (1, 2, 3, 4)
CACHE_ENTRIES = (100, 1_000, 10_000, 100_000)
CONCURRENCY = 64
SHARE = 2
"""Of the messages: a second's work, as in the intake."""

MESSAGES_EACH = 1000
"""For each place of a small concurrency, which is slow."""

MOST_BYTES = 48 * 1024 * 1024
"""Of bodies in one run."""

LONGEST_SECONDS = 60
ONCE = "those above 1 KiB: one round"


@dataclass(frozen=True, slots=True)
class Point:
    """One place on a curve."""

    concurrency: int = CONCURRENCY
    body_kib: int = 1
    replicas: int = 1

    @property
    def name(self) -> str:
        """As it is reported on the way."""
        return f"concurrency {self.concurrency}, {self.body_kib} KiB, replicas {self.replicas}"

    def messages(self, wanted: int) -> int:
        """Return how many messages it gets."""
        return min(
            SHARE * wanted * self.replicas,
            self.concurrency * MESSAGES_EACH,
            MOST_BYTES // (self.body_kib * 1024),
        )


class Cost(NamedTuple):
    """One turn, or the mean of those of a round."""

    cpu_us: float
    per_second: float

    def __str__(self) -> str:
        return f"{self.cpu_us:.0f} µs, {self.per_second:.0f}/s"


async def measure(size: Size) -> Findings:
    """Return a curve for each way to grow, and the claim on concurrency."""
    flat = [Point(concurrency=count) for count in CONCURRENCIES if count >= FLAT_FROM]
    points = [
        *flat * LAPS,
        *(Point(concurrency=count) for count in CONCURRENCIES if count < FLAT_FROM),
        *(Point(replicas=count) for count in REPLICAS[1:]),
    ]
    large = [Point(body_kib=kib) for kib in BODY_KIB[1:]]
    async with QueueServer() as server:
        trial = Trial(size, server)
        found = await in_turns("growth", points, size.rounds, trial, mean=mean_turn)
        once = await in_turns("growth, large bodies", large, 1, trial)
    both = Results(found.rounds | once.rounds, found.reasons | once.reasons)
    return reported(both, {entries: await _lookups(entries) for entries in CACHE_ENTRIES})


@dataclass(frozen=True, slots=True)
class Trial:
    """Works through one backlog a time."""

    size: Size
    server: QueueServer

    async def __call__(self, point: Point) -> Cost:
        """Start as many replicas as the point wants, then fill the queue. Raises Failed."""
        count = point.messages(self.size.messages)
        messages = self.size.work / f"messages-{point.body_kib}kib-{count}.jsonl"
        if not messages.exists():
            write_padded(messages, count, point.body_kib * 1024)
        await self.server.reset()
        async with AsyncExitStack() as stack:
            started = [
                await stack.enter_async_context(
                    running(OURS, self.server, Load(point.concurrency), self.size.work)
                )
                for _ in range(point.replicas)
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


async def _lookups(entries: int) -> Mapping[str, float]:
    """Return the cost of a hit and of a load, once: no claim rests on it."""
    return await answer_of("cache_lookups", entries)


def reported(found: Results[Cost], cache: Mapping[int, Mapping[str, float]]) -> Findings:
    """Return tables, curves and claim; a point without rounds could not be measured."""
    growing = [Point(concurrency=count) for count in CONCURRENCIES]
    bodies = [Point(body_kib=kib) for kib in BODY_KIB]
    replicas = [Point(replicas=count) for count in REPLICAS]
    missing, cores = found.notes(), f"{len(os.sched_getaffinity(0))} cores, the server on one"
    tables = [
        _table("concurrency", [(one.concurrency, one) for one in growing], found, missing),
        _table("body, KiB", [(one.body_kib, one) for one in bodies], found, notes=[ONCE]),
        _table("replicas", [(one.replicas, one) for one in replicas], found, notes=[cores]),
        _cached(cache),
    ]
    curves = [
        _curve("concurrency", [(one.concurrency, one) for one in growing], found),
        _curve("body", [(one.body_kib, one) for one in bodies], found),
        _curve("replicas", [(one.replicas, one) for one in replicas], found),
        _cache_curve(cache),
    ]
    text = f"cost of a message of 1 KB, ± from {FLAT_FROM} to {CONCURRENCIES[-1]} at once"
    return Findings(tables, curves, [Claim(text, _swings(growing, found), 0.2)])


def _table(
    what: str,
    points: Sequence[tuple[int, Point]],
    found: Results[Cost],
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Table:
    rows = [
        [x, found.of(one, "cpu_us"), found.of(one, "per_second")]
        for x, one in points
        if found.rounds[one.name]
    ]
    columns = (what, "CPU µs/message", "messages/s")
    name = f"growth_{what.partition(',')[0]}"
    return Table(name, f"No-op messages, by {what}", columns, rows, notes, missing)


def _cached(cache: Mapping[int, Mapping[str, float]]) -> Table:
    rows = [[entries, cost["hit"], cost["load"]] for entries, cost in cache.items()]
    return Table("cache", "Cache lookups", ("entries", "CPU µs a hit", "a load that evicts"), rows)


def _swings(points: Sequence[Point], found: Results[Cost]) -> Spread:
    """Return by how much the cost swings; a round that lacks a point is left out."""
    flat = [found.of(one, "cpu_us").rounds for one in points if one.concurrency >= FLAT_FROM]
    return swings([*zip(*flat, strict=False)])


def swings(rounds: Sequence[Sequence[float]]) -> Spread:
    """Return how far the median costs of the places swing; of all rounds, each time but one.

    Not the swing of each round: its cheapest and its dearest place are those of the machine's best
    and worst minute, the more so the more places there are.
    """
    others = combinations(rounds, max(1, len(rounds) - 1))
    return Spread([swing([median(costs) for costs in zip(*some, strict=True)]) for some in others])


def swing(costs: Sequence[float]) -> float:
    """Return how far costs are from the middle of their range, as a share of it: 0.2 is ± 20 %.

    nan, which bears nothing out, for less than two.
    """
    if len(costs) < 2:
        return nan
    return (max(costs) - min(costs)) / (max(costs) + min(costs))


def _curve(what: str, points: Sequence[tuple[int, Point]], found: Results[Cost]) -> Curve:
    costs = [(x, found.of(one, "cpu_us").middle) for x, one in points if found.rounds[one.name]]
    title = f"Cost by {what}"
    return Curve(f"growth_{what}", title, what, "CPU µs/message", {"ours": costs}, logarithmic=True)


def _cache_curve(cache: Mapping[int, Mapping[str, float]]) -> Curve:
    series = {
        what: [(entries, cost[what]) for entries, cost in cache.items()] for what in ("hit", "load")
    }
    title = "Cost by entries cached"
    return Curve("growth_cache", title, "entries", "CPU µs", series, logarithmic=True)
