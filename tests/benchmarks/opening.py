"""What it costs to open an event, by its size: body to typed events, nothing else.

Beside it stands the reader before it, on pydantic, which the tests keep as their oracle: in turns,
in one process, so that the ratio holds on any machine. What makes an event large is what no job
reads: more participants, as in a conference.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import orjson

from tests.benchmarks.contest import say
from tests.benchmarks.events import event
from tests.benchmarks.findings import Claim, Findings, Spread, Table
from tests.benchmarks.size import Size
from tests.oracle.normaliser import open_events
from tests.support.reading import Events, reader

KIBIBYTES = (1, 20, 200, 760)
BYTES_A_ROUND = 20_000_000
"""Read by each reader: rounds of equal length, whatever the size."""

MOST_A_ROUND = 5000
ROUNDS = 5
MOST_US = 250.0
"""Of an event of 200 KB, on the machine that the aim was set on."""

MOST_OF_BEFORE = {1: 0.65, 200: 0.5}
COLUMNS = ("event, KB", "µs", "reader before, µs", "ratio")


async def measure(size: Size) -> Findings:
    """Measure each size in turns."""
    before = partial(open_events, types=Events())
    rows, claims = [], []
    for kib in KIBIBYTES:
        bodies = [body_of(kib * 1024, number) for number in range(min(100, 2000 // kib))]
        ours, theirs = [], []
        for _ in range(max(ROUNDS, size.rounds)):
            ours.append(microseconds(reader(), bodies))
            theirs.append(microseconds(before, bodies))
        mine, ratio = Spread(ours), Spread([a / b for a, b in zip(ours, theirs, strict=True)])
        say(f"opening: {kib} KB: {mine} µs, {ratio} of before")
        rows.append([kib, mine, Spread(theirs), ratio])
        if kib in MOST_OF_BEFORE:
            text = f"CPU to open an event of {kib} KB, of the reader before"
            claims.append(Claim(text, ratio.middle, MOST_OF_BEFORE[kib]))
        if kib == 200:
            claims.append(Claim("µs to open an event of 200 KB", mine.middle, MOST_US))
    table = Table("opening", "Opening an event: body to typed events", COLUMNS, rows)
    return Findings([table], claims=claims)


def body_of(length: int, number: int) -> str:
    """Return an event of about so many bytes, as text: what a receive brings."""
    whole = orjson.loads(event(number))
    body = whole["detail"]["eventBody"]
    [one, *_] = body["participants"]
    missing = (length - len(orjson.dumps(whole))) // len(orjson.dumps(one))
    body["participants"] += [one] * missing
    return orjson.dumps(whole).decode()


def microseconds(read: Callable[[str], object], bodies: Sequence[str]) -> float:
    """Return the CPU time of one event."""
    turns = min(MOST_A_ROUND, BYTES_A_ROUND // len(bodies[0])) // len(bodies) or 1
    began = time.process_time()
    for _ in range(turns):
        for body in bodies:
            read(body)
    return (time.process_time() - began) / turns / len(bodies) * 1e6
