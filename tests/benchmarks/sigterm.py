"""SIGTERM under load: what stays hidden, what will be done twice, how long the end takes."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import BARE, OURS, PEERS_OF_OURS, Contestant
from tests.benchmarks.findings import Cell, Claim, Findings, Spread, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Failed, Load, Running, messages_of, running
from tests.benchmarks.size import Size

CONCURRENCY = 20
MESSAGES = 400
WORK_SECONDS = 0.3
BEFORE = 60
"""Messages done at the signal."""

BEFORE_SECONDS = 6.0
"""Traffic after which the signal comes at the latest."""

START_SECONDS = 20
MOST_SECONDS = 40
OTHERS = (BARE, *PEERS_OF_OURS)
COLUMNS = ("contestant", "left hidden", "done, but will come again", "cut off", "s to exit")
NOTES = (
    f"concurrency {CONCURRENCY} where there is such a setting; {WORK_SECONDS} s a message",
    f"{MESSAGES} messages, the signal after {BEFORE} of them; 5 ms round trip",
    "the worst round of ours, one round of the others",
    "left hidden: in flight on the server after the exit; cut off: begun and not ended",
)


@dataclass(frozen=True, slots=True)
class End:
    """How one run ended."""

    hidden: int
    twice: int
    """Handlers that ended whose messages were not deleted."""

    cut: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.hidden} hidden, {self.twice} twice, {self.cut} cut, {self.seconds:.1f} s"


async def measure(size: Size) -> Findings:
    """Return the table of ends and the claim."""
    async with QueueServer() as server:
        trial = _Trial(size, server)
        ours = await in_turns("sigterm", [OURS], size.rounds, trial)
        others = await in_turns("sigterm", OTHERS, 1, trial)
    return reported(Results(ours.rounds | others.rounds, ours.reasons | others.reasons))


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    server: QueueServer

    async def __call__(self, one: Contestant) -> End:
        notes = self.size.work / "notes"
        notes.unlink(missing_ok=True)
        load = Load(CONCURRENCY, WORK_SECONDS, notes=notes)
        messages = await messages_of(one, self.server, self.size)
        await self.server.reset(round_trip_seconds=0.005)
        async with running(one, self.server, load, self.size.work) as process:
            await self.server.watch(process.session, begin=0, end=BEFORE, seconds=BEFORE_SECONDS)
            await self.server.fill(messages, 1, MESSAGES)
            await process.traffic(self.server, START_SECONDS)
            # In the midst of work: just after a delete, a batch loop has nothing in flight.
            await asyncio.sleep(WORK_SECONDS / 2)
            seconds = await _end(process)
        return _judged(await self.server.state(), notes, seconds)


async def _end(process: Running) -> float:
    """Return the seconds from the signal to the exit. Raises Failed when there is none."""
    now = asyncio.get_running_loop().time
    began = now()
    process.terminate()
    if not await process.ended(MOST_SECONDS):
        raise Failed(f"it had not ended {MOST_SECONDS} s after SIGTERM")
    return now() - began


def _judged(state: dict, notes: Path, seconds: float) -> End:
    begun, ended = set(), set()
    for line in notes.read_text().splitlines():
        what, number, *_ = line.split()
        (begun if what == "begin" else ended).add(int(number))
    return End(
        hidden=len(state["hidden"]),
        twice=len(ended - set(state["deleted"])),
        cut=len(begun - ended),
        seconds=seconds,
    )


def reported(results: Results[End]) -> Findings:
    """Return what the ends come to."""
    rows = [_row(one, results) for one in (OURS, *OTHERS)]
    title = f"SIGTERM under load, handlers of {WORK_SECONDS} s"
    table = Table("sigterm", title, COLUMNS, rows, NOTES, results.notes())
    hidden = results.of(OURS, "hidden")
    claim = Claim("messages left hidden by SIGTERM, worst round", hidden, 0, worst=True)
    return Findings([table], claims=[claim])


def _row(one: Contestant, results: Results[End]) -> list[Cell]:
    if not (ends := results.rounds[one.name]):
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    return [
        one.name,
        max(end.hidden for end in ends),
        max(end.twice for end in ends),
        max(end.cut for end in ends),
        Spread([end.seconds for end in ends]),
    ]
