"""Messages that come one by one at random moments, as on most days: calls, CPU, time to begin.

A backlog fills every receive; a steady load does not, and what is paid per call weighs most.
"""

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
RATES: Mapping[int, int] = {200: 2000, 20: 400, 2: 40}
"""Messages a second, and how many come in one round: twenty seconds at most."""

WARM_SHARE = 0.1
START_SECONDS = 20
COLUMNS = (
    "contestant",
    "CPU µs/message",
    "CPU of the bare loop's",
    "calls/1,000",
    "begun after ms, median",
    "p99",
)
NOTES = (
    f"each message at a random moment (Poisson); round trip {ROUND_TRIP_SECONDS * 1000:.0f} ms",
    "begun: from sent to the first line of the handler; another run: noting it costs a system call",
    "at 2/s a round has few messages: read the calls, not the µs",
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
    async with QueueServer() as server:
        found = {
            rate: await in_turns(
                f"steady, {rate}/s", CONTESTANTS, size.rounds, _Trial(size, server, rate)
            )
            for rate in RATES
            if not size.quick or rate > 2
        }
    return reported(found)


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    server: QueueServer
    rate: int

    async def __call__(self, one: Contestant) -> Cost:
        """Let it work for a while without notes, then for a while with."""
        cost = await self._run(one, None)
        notes = self.size.work / "begun"
        notes.unlink(missing_ok=True)
        if one is GO:
            return cost
        noted = await self._run(one, notes)
        return Cost(cost.cpu_us, cost.calls, noted.begun)

    async def _run(self, one: Contestant, notes: Path | None) -> Cost:
        count = RATES[self.rate]
        messages = await messages_of(one, self.server, self.size.work, self.size.messages + 1)
        await self.server.reset(round_trip_seconds=ROUND_TRIP_SECONDS)
        load = Load(CONCURRENCY, notes=notes)
        async with running(one, self.server, load, self.size.work) as process:
            await all_poll([process], self.server)
            seconds = START_SECONDS + 2 * count / self.rate
            begin = int(count * WARM_SHARE)
            await self.server.watch(process.session, begin=begin, end=count, seconds=seconds)
            await self.server.trickle(messages, count, per_second=self.rate, seed=count)
            stretch = await process.traffic(self.server, seconds + START_SECONDS)
            sent = dict((await self.server.state())["sent"])
        if not stretch.complete:
            raise Failed(f"{stretch.deleted} of {count} messages done after {seconds:.0f} s")
        return Cost(
            cpu_us=1e6 * stretch.cpu_seconds / stretch.deleted,
            calls=1000 * sum(stretch.calls.values()) / stretch.deleted,
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
    claims = [
        _claim("SQS calls for 1,000 messages at 200/s", found[200], "calls", 450),
        _claim("SQS calls for 1,000 messages at 20/s", found[20], "calls", 950),
        Claim("CPU of a message at 200/s, of the bare loop's", _of_bare(found[200]), 0.12),
        Claim("CPU of a message at 20/s, of the bare loop's", _of_bare(found[20]), 0.3),
        Claim("milliseconds from sent to begun at 200/s, p99", _late_ms(found[200]), 150),
    ]
    return Findings(tables, claims=claims)


def _table(rate: int, results: Results[Cost]) -> Table:
    rows = [_row(one, results) for one in CONTESTANTS]
    title = f"Steady load of {rate} messages a second"
    return Table(f"steady_{rate}", title, COLUMNS, rows, [*NOTES, *results.notes()])


def _row(one: Contestant, results: Results[Cost]) -> list[Cell]:
    if not (rounds := results.rounds[one.name]):
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    cpu = Spread([cost.cpu_us for cost in rounds])
    calls = Spread([cost.calls for cost in rounds])
    begun = [None, None]
    if rounds[0].begun[0] == rounds[0].begun[0]:
        begun = [Spread([1000 * cost.begun[place] for cost in rounds]) for place in (0, 1)]
    return [one.name, cpu, round(cpu.middle / _cpu(results, BARE), 3), calls, *begun]


def _claim(text: str, results: Results[Cost], figure: str, bound: float) -> Claim:
    rounds = results.rounds[OURS.name]
    middle = Spread([getattr(cost, figure) for cost in rounds]).middle if rounds else nan
    return Claim(text, middle, bound)


def _late_ms(results: Results[Cost]) -> float:
    rounds = results.rounds[OURS.name]
    return 1000 * Spread([cost.begun[1] for cost in rounds]).middle if rounds else nan


def _of_bare(results: Results[Cost]) -> float:
    return _cpu(results, OURS) / _cpu(results, BARE)


def _cpu(results: Results[Cost], one: Contestant) -> float:
    rounds = results.rounds[one.name]
    return Spread([cost.cpu_us for cost in rounds]).middle if rounds else nan
