"""`python -m tests.simulation.fleet [--quick] [NAME…]`: replicas on one budget, in virtual time.

The real limiter and the real lease rule over a table of this process, 1 to 1,000 replicas, with
joins, kills, clocks that are minutes off, and a table that is down. A row for each scenario; exit
code 0 only if each kept its limits.
"""

import argparse
import asyncio
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from tests.simulation.clock import EPOCH, simulate
from worker.clients.aws.budget import TableClock
from worker.errors import Unavailable
from worker.resilience.fleet import NOWHERE, Answer, Draw, FleetBudget, Position
from worker.resilience.limiter import Limiter

BUDGET = 300
TOKEN_PER_MINUTE = 240
LEASE = 10
"""Calls that come at once: as many as messages of one receive."""

WAITING = 12
"""Callers of a replica that never has enough."""

WARM_UP_MINUTES = 1
"""Not judged."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet, its work, and what goes wrong."""

    name: str
    replicas: int
    minutes: int = 12
    load: float | None = None
    """Calls that come, in batches to any replica, as a share of the budget. None: all that the
    budget allows, on every replica, all the time."""

    skew_seconds: float = 0.0
    """Longest by which a replica's wall clock is off, either way."""

    joins: tuple[tuple[int, int], ...] = ()
    """Minute, and how many."""

    kills: tuple[tuple[int, int], ...] = ()
    outage: tuple[int, int] | None = None
    """First minute without the table, and the first with it again."""

    background: int = 0
    """Replicas that have background work only."""

    used: float = 0.9
    """Least share of the budget in a minute, outages aside."""

    used_in_outage: float = 0.6
    most_writes: int | None = 40
    longest_wait_seconds: float = 600.0


@dataclass(slots=True)
class Table:
    """The item of each minute, and what was asked of it."""

    random: Random
    items: dict[int, Position] = field(default_factory=dict)
    writes: Counter[int] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    outage: tuple[int, int] | None = None

    def minute(self) -> int:
        """Return the minute of the simulation."""
        return int(now() // 60)

    def is_down(self) -> bool:
        """Return whether it does not answer."""
        return self.outage is not None and self.outage[0] <= self.minute() < self.outage[1]


@dataclass(slots=True)
class Line:
    """One replica's connection to the table."""

    table: Table
    clock: TableClock

    def now(self) -> float:
        """Return the table's time as this replica sees it."""
        return self.clock.now()

    async def draw(self, draw: Draw, slots: int, waited: float) -> Answer:
        """Draw slots, as the condition of the real table has it."""
        asked_at = now()
        await self._travel()
        if not self.clock.is_known:
            date = float(int(EPOCH + now()))
            await self._travel()
            self.clock.heard(date, asked_at)
            return Answer(granted=False, position=NOWHERE)
        table, at = self.table, draw.minute
        item = table.items.get(at)
        if draw.skips:
            granted = item is None or item.used < draw.first
            used = draw.first + slots
        else:
            granted = item is None or draw.first <= item.used <= draw.last
            used = (draw.first if item is None else item.used) + slots
        (table.writes if granted else table.refusals)[table.minute()] += 1
        if granted:
            item = table.items[at] = Position(at, used, waited)
        date = float(int(EPOCH + now()))
        await self._travel()
        self.clock.heard(date, asked_at)
        assert item is not None
        return Answer(granted, item)

    async def release(self, minute: int, first: int, after: int) -> None:
        """Free slots again."""
        await self._travel()
        item = self.table.items.get(minute)
        if item and item.used == after:
            self.table.writes[self.table.minute()] += 1
            self.table.items[minute] = item._replace(used=first)

    async def _travel(self) -> None:
        if self.table.is_down():
            await asyncio.sleep(self.table.random.choice([0.01, 5]))
            raise Unavailable("the table is down")
        await asyncio.sleep(self.table.random.uniform(0.002, 0.02))


@dataclass(slots=True)
class Replica:
    """One worker process."""

    limiter: Limiter
    fleet: FleetBudget
    calls: list[float]
    """Times of all replicas' calls."""

    background: bool = False
    longest_wait: float = 0.0
    granted_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, work: "Iterable[object]") -> None:
        """Run coroutines until the replica is killed."""
        for one in work:
            task = asyncio.ensure_future(one)  # type: ignore[arg-type]
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def call(self) -> None:
        """Make one call, when there is budget."""
        began = now()
        await self.limiter.acquire(max_wait=86_400, background=self.background)
        self.calls.append(now())
        # Of a replica that always has work: since it last got any.
        self.longest_wait = max(self.longest_wait, now() - max(began, self.granted_at))
        self.granted_at = now()

    async def call_for_ever(self) -> None:
        """Make one call after the other."""
        while True:
            await self.call()

    async def kill(self) -> None:
        """End it, with whatever it had drawn."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.sleep(0)
        kill(self.fleet)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a scenario."""

    scenario: Scenario
    per_minute: list[int]
    most_in_60_seconds: int
    writes: list[int]
    refusals: list[int]
    longest_wait: float
    in_outage: list[int]

    @property
    def problems(self) -> list[str]:
        """Return the limits that were not kept."""
        one = self.scenario
        kept = {
            f"more than {BUDGET} in a minute": max(self.per_minute) <= BUDGET,
            f"more than {BUDGET} in 60 seconds": self.most_in_60_seconds <= BUDGET,
            f"less than {one.used:.0%} used": min(self.per_minute) >= one.used * BUDGET
            or one.load is not None,
            f"less than {one.used:.0%} used on average": sum(self.per_minute)
            >= one.used * BUDGET * len(self.per_minute),
            "too many writes": one.most_writes is None or max(self.writes) <= one.most_writes,
            "starved": self.longest_wait <= one.longest_wait_seconds,
            "too little in the outage": not self.in_outage
            or min(self.in_outage) >= one.used_in_outage * BUDGET,
            "too much in the outage": max(self.in_outage, default=0) <= BUDGET * 1.02,
        }
        return [problem for problem, is_kept in kept.items() if not is_kept]


def kill(fleet: FleetBudget) -> None:
    """Let it do nothing any more: what it had drawn is lost, and nothing is released."""
    fleet._is_closed = True
    fleet._slots.clear()


def now() -> float:
    """Return the time of the simulation, in seconds."""
    return asyncio.get_running_loop().time()


def play(scenario: Scenario, seed: int = 1) -> Figures:
    """Play a scenario."""
    return simulate(lambda: _Play(scenario, Random(seed)).run())


class _Play:
    def __init__(self, scenario: Scenario, random: Random) -> None:
        self.scenario = scenario
        self.random = random
        self.table = Table(Random(random.random()), outage=scenario.outage)
        self.calls: list[float] = []
        self.replicas: list[Replica] = []
        self.ended: list[Replica] = []

    async def run(self) -> Figures:
        scenario = self.scenario
        self._join(scenario.replicas)
        feeding = asyncio.ensure_future(self._feed(scenario.load)) if scenario.load else None
        for minute in range(scenario.minutes):
            self._join(dict(scenario.joins).get(minute, 0))
            await self._kill(dict(scenario.kills).get(minute, 0))
            await asyncio.sleep(60 * (minute + 1) - now())
        if feeding:
            feeding.cancel()
        figures = self._figures()
        await self._kill(len(self.replicas))
        return figures

    def _join(self, count: int) -> None:
        for _ in range(count):
            replica = self._replica()
            self.replicas.append(replica)
            replica.background = len(self.replicas) <= self.scenario.background
            if self.scenario.load is None:
                replica.start(replica.call_for_ever() for _ in range(WAITING))

    def _replica(self) -> Replica:
        skew = self.random.uniform(-1, 1) * self.scenario.skew_seconds
        clock = TableClock(now, lambda: EPOCH + now() + skew)
        random = Random(self.random.random())
        fleet = FleetBudget(Line(self.table, clock), BUDGET, random=random)
        limiter = Limiter("genesys", per_minute=TOKEN_PER_MINUTE, fleet=fleet)
        return Replica(limiter, fleet, self.calls)

    async def _kill(self, count: int) -> None:
        for _ in range(count):
            replica = self.replicas.pop(self.random.randrange(len(self.replicas)))
            self.ended.append(replica)
            await replica.kill()

    async def _feed(self, load: float) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(load * BUDGET / LEASE / 60))
            replica = self.random.choice(self.replicas)
            replica.start(replica.call() for _ in range(LEASE))

    def _figures(self) -> Figures:
        one, calls = self.scenario, self.calls
        minutes = Counter(int(at // 60) for at in calls)
        down = range(*one.outage) if one.outage else range(0)
        judged = [
            minute
            for minute in range(WARM_UP_MINUTES, one.minutes)
            if minute not in down and minute - 1 not in down  # it comes back in some seconds
        ]
        always = one.load is None
        waits = [each.longest_wait for each in (*self.replicas, *self.ended)]
        if always:
            waits += [now() - each.granted_at for each in self.replicas if not each.background]
        return Figures(
            scenario=one,
            per_minute=[minutes[minute] for minute in judged],
            most_in_60_seconds=max(
                bisect_left(calls, at + 60) - index for index, at in enumerate(calls)
            ),
            writes=[self.table.writes[minute] for minute in judged],
            refusals=[self.table.refusals[minute] for minute in judged],
            longest_wait=max(waits),
            in_outage=[minutes[minute] for minute in down],
        )


def scenarios(*, quick: bool) -> dict[str, Scenario]:
    """Return what is played, by name."""
    full = not quick
    many = 1000 if full else 100
    minutes = 30 if full else 8
    rows = [
        Scenario("one replica", 1, used=0.78, minutes=minutes),  # its token's own limit
        Scenario("ten replicas", 10, used=0.95, minutes=minutes),
        Scenario("ten, clocks five minutes off", 10, used=0.95, skew_seconds=300, minutes=minutes),
        Scenario(
            "ten, three join and two are killed",
            10,
            used=0.93,
            joins=((3, 1), (4, 2)),
            kills=((5, 1), (6, 1)),
            minutes=minutes,
        ),
        Scenario("ten, the table down for a minute", 10, minutes=10, outage=(7, 8)),
        Scenario("a hundred, all hungry", 100, minutes=minutes, used=0.95),
        Scenario(
            f"{many}, batches, 97 % of the budget asked for",
            many,
            minutes=minutes,
            load=0.97 * 0.98,
            skew_seconds=300,
        ),
    ]
    if full:
        rows += [
            Scenario("ten, the table down for ten minutes", 10, minutes=30, outage=(10, 20)),
            Scenario(
                "1000, all hungry: each waits for the others' 970 leases",
                1000,
                minutes=60,
                used=0.95,
                longest_wait_seconds=60 * 60,
            ),
        ]
    return {one.name: one for one in rows}


def main() -> int:
    """Play what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.fleet", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="the sizes of the test suite")
    asked = parser.parse_args()
    sys.stdout.write("| scenario | figures | kept |\n|---|---|---|\n")
    broken = 0
    for name, one in scenarios(quick=asked.quick).items():
        if not asked.names or any(part in name for part in asked.names):
            figures = play(one)
            broken += bool(figures.problems)
            sys.stdout.write(_row(figures))
            sys.stdout.flush()
    return 1 if broken else 0


def _row(figures: Figures) -> str:
    minutes = len(figures.per_minute)
    outage = f", in the outage {figures.in_outage}" if figures.in_outage else ""
    text = (
        f"used {min(figures.per_minute)} to {max(figures.per_minute)} a minute, "
        f"{sum(figures.per_minute) / minutes / BUDGET:.1%} on average, "
        f"most in 60 s {figures.most_in_60_seconds}; writes {max(figures.writes)} a minute, "
        f"refused {sum(figures.refusals) / minutes:.0f}; "
        f"longest wait {figures.longest_wait:.0f} s{outage}"
    )
    kept = "<br>".join(figures.problems) or "yes"
    return f"| {figures.scenario.name} | {text} | {kept} |\n"


if __name__ == "__main__":
    sys.exit(main())
