"""Messages that come one by one at random moments, as on most days: calls, CPU, time to begin.

A backlog fills every receive; a steady load does not, and what is paid per call weighs most.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import quantiles

from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import BARE, GO, OURS, Contestant
from tests.benchmarks.findings import Cell, Claim, Findings, Spread, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Failed, Load, all_poll, messages_of, running
from tests.benchmarks.size import Size

ROUND_TRIP_SECONDS = 0.005
CONCURRENCY = 64
CONTESTANTS = (OURS, BARE, GO)
RATES: Mapping[int, int] = {200: 1600, 20: 300, 2: 30}
"""Messages a second, and how many come in one round: fifteen seconds at most."""

ALONE_FROM = 100
"""Messages a second from which on one runs after the other. Below, all leave the machine idle."""

WARM_SHARE = 0.1
START_SECONDS = 20
COLUMNS = (
    "contestant",
    "CPU µs/message",
    "of the bare loop's",
    "calls/1,000",
    "begun after ms, median",
    "p99",
)
NOTES = (
    f"each message at a random moment (Poisson); round trip {ROUND_TRIP_SECONDS * 1000:.0f} ms",
    "begun: from sent to the first line of the handler; another run: noting it costs a system call",
    f"fewer than {ALONE_FROM}/s: a round has few messages, read the calls before the µs",
    "Go notes no begin",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One run."""

    cpu_us: float
    calls: float
    """A thousand messages."""

    begun: tuple[float, float]
    """Seconds from sent to begun: median and p99; nan where it is not noted."""

    def __str__(self) -> str:
        middle, late = (1000 * seconds for seconds in self.begun)
        return f"{self.cpu_us:.0f} µs, {self.calls:.0f} calls, {middle:.0f} and {late:.0f} ms"


async def measure(size: Size) -> Findings:
    """Return a table for each rate, and the claims."""
    found = {
        rate: await in_turns(
            f"steady, {rate}/s",
            CONTESTANTS,
            size.rounds,
            _Trial(size, rate),
            at_once=rate < ALONE_FROM,
        )
        for rate in RATES
        if not size.quick or rate > 2
    }
    return reported(found)


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    rate: int

    async def __call__(self, one: Contestant) -> Cost:
        """Let it work for a while without notes, and for a while with, each on its own queue."""
        notes = self.size.work / f"begun-{one.environment}"
        notes.unlink(missing_ok=True)
        kinds = [None] if one is GO else [None, notes]
        if self.rate < ALONE_FROM:
            costs = await asyncio.gather(*(self._run(one, kind) for kind in kinds))
        else:
            costs = [await self._run(one, kind) for kind in kinds]
        return Cost(costs[0].cpu_us, costs[0].calls, costs[-1].begun)

    async def _run(self, one: Contestant, notes: Path | None) -> Cost:
        count, load = RATES[self.rate], Load(CONCURRENCY, notes=notes)
        begin, seconds = int(count * WARM_SHARE), START_SECONDS + 2 * count / self.rate
        async with QueueServer() as server:
            messages = await messages_of(one, server, self.size)
            await server.reset(round_trip_seconds=ROUND_TRIP_SECONDS)
            async with running(one, server, load, self.size.work) as process:
                await all_poll([process], server)
                await server.watch(process.session, begin=begin, end=count, seconds=seconds)
                await server.trickle(messages, count, per_second=self.rate, seed=count)
                stretch = await process.traffic(server, seconds + START_SECONDS)
                sent = dict((await server.state())["sent"])
        if not stretch.complete:
            raise Failed(f"{stretch.deleted} of {count} messages done after {seconds:.0f} s")
        return Cost(
            cpu_us=1e6 * stretch.cpu_seconds / stretch.deleted,
            calls=1000 * stretch.calls_a_message,
            begun=_begun(sent, notes, begin) if notes else (nan, nan),
        )


def _begun(sent: Mapping[int, float], notes: Path, warm: int) -> tuple[float, float]:
    """Return median and p99 of the seconds until a handler began, the first messages left out."""
    lines = [line.split() for line in notes.read_text().splitlines()]
    begun = {int(number): float(at) for what, number, at in lines if what == "begin"}
    waited = [at - sent[number] for number, at in begun.items() if number > warm]
    cuts = quantiles(waited, n=100)
    return cuts[49], cuts[98]


def reported(found: Mapping[int, Results[Cost]]) -> Findings:
    """Return what the runs come to, by messages a second."""
    tables = [_table(rate, results) for rate, results in found.items()]
    calls = {rate: results.of(OURS, "calls") for rate, results in found.items()}
    of_bare = {rate: results.ratio(OURS, BARE, "cpu_us") for rate, results in found.items()}
    claims = [
        Claim("SQS calls for 1,000 messages at 200/s", calls[200], 450),
        Claim("CPU of a message at 200/s, of the bare loop's", of_bare[200], 0.12),
        Claim("from sent to begun at 200/s, p99", _begun_ms(found[200], OURS, 1), 150, unit="ms"),
        Claim("SQS calls for 1,000 messages at 20/s", calls[20], 950),
        Claim("CPU of a message at 20/s, of the bare loop's", of_bare[20], 0.3),
    ]
    return Findings(tables, claims=claims)


def _table(rate: int, results: Results[Cost]) -> Table:
    rows = [_row(one, results) for one in CONTESTANTS]
    title = f"Steady load of {rate} messages a second"
    notes = ["all of a round at once"] if rate < ALONE_FROM else NOTES
    return Table(f"steady_{rate}", title, COLUMNS, rows, notes, results.notes())


def _row(one: Contestant, results: Results[Cost]) -> list[Cell]:
    if not results.rounds[one.name]:
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    begun = [None, None] if one is GO else [_begun_ms(results, one, place) for place in (0, 1)]
    return [
        one.name,
        results.of(one, "cpu_us"),
        results.ratio(one, BARE, "cpu_us"),
        results.of(one, "calls"),
        *begun,
    ]


def _begun_ms(results: Results[Cost], one: Contestant, place: int) -> Spread:
    return Spread([1000 * cost.begun[place] for cost in results.rounds[one.name]])
