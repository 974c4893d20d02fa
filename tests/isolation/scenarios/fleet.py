"""One budget for ten processes: all of it used, none of it exceeded, as processes come and go.

Attributes are injected, as that job calls DynamoDB for nothing else: moto slows down with records.
"""

import asyncio
import re
import signal
from collections import Counter
from itertools import count

from tests.isolation.emulators import LEDGER_TABLE
from tests.isolation.lab import Lab, open_lab
from tests.isolation.process import Worker
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import started

PER_MINUTE = 300
PROCESSES = 10
JOIN = 3
KILLED = 2
CONCURRENCY = 20
WARM_UP_SECONDS = 20
BACKLOG_MINUTES = 16
USED = 95.0
USED_WITHOUT_TABLE = 60.0
STORM = 3
"""Refusals in the minute without the table that are no storm yet: each pauses its process."""

USEFUL = re.compile(r"^worker_replicas_useful (\S+)$", re.MULTILINE)
MOST_USEFUL = 3
"""Two use the budget up, by their own limits; a third where the machine is busy."""

AT_ONCE = 2
"""Processes that start at the same time."""


class Fleet:
    """The processes, and what the platform saw of them."""

    def __init__(self, lab: Lab, per_minute: int) -> None:
        self.lab = lab
        self.per_minute = per_minute
        self.cloud = lab.emulators.genesys
        self.cloud.requests_per_minute = None
        self.cloud.client_requests_per_minute = per_minute
        self.draws: Counter[int] = Counter()
        """Writes for a lease, by minute."""

        self.is_cut = False
        self._names = count(1)
        lab.tap.cuts["aws"] = self._cut

    async def join(self, processes: int) -> list[Worker]:
        """Start processes."""
        workers = [
            self.lab.worker(
                ("attributes",),
                f"worker-{next(self._names)}",
                SQS_CONCURRENCY=CONCURRENCY,
                GENESYS_REQUESTS_PER_MINUTE=240,
                GENESYS_FLEET_REQUESTS_PER_MINUTE=self.per_minute,
                BUDGET_TABLE=LEDGER_TABLE,
                ATTRIBUTES_MAX_AGE_SECONDS=36_000,
            )
            for _ in range(processes)
        ]
        for first in range(0, processes, AT_ONCE):
            await asyncio.gather(*(one.start() for one in workers[first : first + AT_ONCE]))
        return workers

    async def measured(self, what: str, seconds: float, used: float, refusals: int = 0) -> None:
        """Let time pass, and hold what came of it to its limits; `used`: in % of the budget."""
        before, refused = self._accepted(), sum(self.cloud.exceeded.values())
        self.draws.clear()
        await asyncio.sleep(seconds)
        share = 100 * (self._accepted() - before) / (self.per_minute * seconds / 60)
        proof = self.lab.proof
        proof.at_least(f"{what}: % of the budget that was used", share, used)
        now_refused = sum(self.cloud.exceeded.values()) - refused
        proof.at_most(f"{what}: requests answered with 429", now_refused, refusals)
        proof.note(f"{what}: writes for a lease, refused ones too", self.draws.total())

    async def says_who_is_useful(self, workers: list[Worker]) -> None:
        """Hold what the scaler asks for, the largest figure of all, to what the budget feeds."""
        pages = [(await worker.page("/metrics"))[1] for worker in workers]
        found = [float(match[1]) for page in pages if (match := USEFUL.search(page))]
        self.lab.proof.note("replicas that are useful, by each", sorted(found))
        self.lab.proof.at_least("replicas that are useful", max(found), 2)
        self.lab.proof.at_most("replicas that are useful", max(found), MOST_USEFUL)

    def _accepted(self) -> int:
        counts = self.cloud.counts
        return counts.total() - counts["token"] - sum(self.cloud.exceeded.values())

    def _cut(self, request) -> int | None:
        if b"budget|" not in request.body:
            return None
        self.draws[0] += 1
        return 503 if self.is_cut else None


async def ten(size: Size) -> Proof:
    """Ten; then three more and two killed; then no table for a minute."""
    async with open_lab(size, visibility_seconds=60) as lab:
        fleet = Fleet(lab, PER_MINUTE)
        lab.send(*[started(lab.emulators) for _ in range(PER_MINUTE * BACKLOG_MINUTES)])
        workers = await fleet.join(PROCESSES)
        await asyncio.sleep(WARM_UP_SECONDS)
        await fleet.measured("ten", size.minutes(5, 2), USED)
        await fleet.says_who_is_useful(workers)

        changes = asyncio.create_task(_changes(fleet, workers))
        await fleet.measured("three join, two are killed", size.minutes(5, 3), USED)
        await changes

        fleet.is_cut = True
        await fleet.measured("no table", 60, USED_WITHOUT_TABLE, STORM)
        fleet.is_cut = False
        await asyncio.sleep(WARM_UP_SECONDS)
        await fleet.measured("the table again", 60, USED)
        return lab.proof


async def _changes(fleet: Fleet, workers: list[Worker]) -> None:
    await asyncio.sleep(20)
    await fleet.join(JOIN)
    await asyncio.sleep(20)
    for worker in workers[:KILLED]:
        worker.signal(signal.SIGKILL)


async def three(size: Size) -> Proof:
    """Three, for ten seconds: without a common budget they exceed it at once."""
    async with open_lab(size) as lab:
        fleet = Fleet(lab, 120)
        lab.send(*[started(lab.emulators) for _ in range(300)])
        await fleet.join(3)
        await fleet.measured("three", 10, 80.0)
        return lab.proof


PLAYS = {"fleet": ten}
