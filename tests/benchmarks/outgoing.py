"""CPU of one outgoing call at 64 in flight, against a server in another process.

All ways send the same JSON and read the same JSON of some 300 bytes, on uvloop, each in a process
of its own. Ours is taken three times: the client, with its guard, and as a handler calls it.
"""

from collections.abc import Mapping, Sequence

from tests.benchmarks.children import answer_of, upstream
from tests.benchmarks.findings import Cell, Claim, Findings, Spread, Table, ratio
from tests.benchmarks.outgoing_calls import WAYS
from tests.benchmarks.size import Size

PLAIN, OURS = "httpx", "ours, client and guard"
CALLS = 3000
CALLS_QUICK = 1000
SHARES = {PLAIN: 0.25}
"""Part of the calls that a way is given: the slow would take too long over all of them."""


async def measure(size: Size) -> Findings:
    """Measure all ways by turns."""
    calls = CALLS_QUICK if size.quick else CALLS
    used: dict[str, list[float]] = {way: [] for way in WAYS}
    async with upstream("action") as url:
        for _ in range(size.rounds):
            for way, rounds in used.items():
                count = int(calls * SHARES.get(way, 1))
                rounds.append((await answer_of("outgoing_calls", way, url, count))["cpu_us"])
    return reported(used)


def reported(used: Mapping[str, Sequence[float]]) -> Findings:
    """Return table and claim of what the ways cost, round by round."""
    of_plain = {way: ratio(rounds, used[PLAIN]) for way, rounds in used.items()}
    rows: Sequence[Sequence[Cell]] = [
        [way, Spread(rounds), of_plain[way]] for way, rounds in used.items()
    ]
    columns = ["way", "CPU µs a call", "of plain httpx"]
    table = Table("outgoing", "Outgoing call, 64 in flight", columns, rows)
    text = "CPU of an outgoing call, with its guard, against plain httpx"
    return Findings([table], claims=[Claim(text, of_plain[OURS], 0.25)])
