"""Head of line: what one slow message does to all others."""

from dataclasses import dataclass

from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import BARE, OURS, PEERS_OF_OURS, Contestant
from tests.benchmarks.findings import Cell, Claim, Findings, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Failed, Load, messages_of, running
from tests.benchmarks.size import Size

CONCURRENCY = 10
MESSAGES = 500
QUICK_MESSAGES = 250
FEW_MESSAGES = 30
"""For a contestant that crawls: some receives, at least."""

SHORT_SECONDS = 0.02
SLOW_SECONDS = 10.0
OTHERS = (BARE, *PEERS_OF_OURS)
START_SECONDS = 20
MOST_SECONDS = 60
"""A contestant that needs longer for the undisturbed messages is not waited for."""

COLUMNS = ("contestant", "undisturbed s", "beside the slow one s", "ratio", "messages")


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds until the short messages were done, without and with a slow one before them."""

    undisturbed: float
    disturbed: float
    messages: int

    @property
    def ratio(self) -> float:
        """Return what the slow one makes of it."""
        return self.disturbed / self.undisturbed

    def __str__(self) -> str:
        return f"{self.undisturbed:.1f} s, beside the slow one {self.disturbed:.1f} s"


async def measure(size: Size) -> Findings:
    """Return the table of delays and the claim."""
    async with QueueServer() as server:
        trial = _Trial(size, server, SLOW_SECONDS)
        ours = await in_turns("head of line", [OURS], size.rounds, trial)
        # Once: what holds a contestant up for the whole of the slow message is not noise.
        others = await in_turns("head of line", OTHERS, 1, trial)
    return reported(Results(ours.rounds | others.rounds, ours.reasons | others.reasons))


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    server: QueueServer
    slow_seconds: float

    async def __call__(self, one: Contestant) -> Delay:
        last = _count(one, quick=self.size.quick)
        alone = await self._seconds(one, 1, last)
        return Delay(alone, await self._seconds(one, 0, last), last)

    async def _seconds(self, one: Contestant, first: int, last: int) -> float:
        """Return how long all messages but number 0 took, from the first receive on."""
        load = Load(CONCURRENCY, SHORT_SECONDS, self.slow_seconds)
        messages = await messages_of(one, self.server, self.size)
        await self.server.reset()
        async with running(one, self.server, load, self.size.work) as process:
            most = MOST_SECONDS + (0 if first else self.slow_seconds)
            await self.server.watch(process.session, begin=0, end=last, seconds=most)
            await self.server.fill(messages, first, last + 1 - first)
            stretch = await process.traffic(self.server, START_SECONDS + most)
        if not stretch.complete:
            raise Failed(f"{stretch.deleted} of {last} messages done after {most:.0f} s")
        return stretch.seconds


def _count(one: Contestant, *, quick: bool) -> int:
    messages = QUICK_MESSAGES if quick else MESSAGES
    return (FEW_MESSAGES if one.crawls else messages) - 1


def reported(results: Results[Delay]) -> Findings:
    """Return what the delays come to."""
    rows = [_row(one, results) for one in (OURS, *OTHERS)]
    notes = [
        f"concurrency {CONCURRENCY} where there is such a setting; one round of the others",
        f"{SHORT_SECONDS * 1000:.0f} ms a message, {SLOW_SECONDS:.0f} s for the first",
    ]
    title = f"One message of {SLOW_SECONDS:.0f} s before many short ones"
    table = Table("head_of_line", title, COLUMNS, rows, notes, results.notes())
    text = "time of other messages beside a slow one, of their undisturbed time"
    return Findings([table], claims=[Claim(text, results.of(OURS, "ratio"), 2.0)])


def _row(one: Contestant, results: Results[Delay]) -> list[Cell]:
    if not (rounds := results.rounds[one.name]):
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    figures = [results.of(one, name) for name in ("undisturbed", "disturbed", "ratio")]
    return [one.name, *figures, rounds[0].messages]
