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
from tests.benchmarks.findings import Claim, Findings, Spread, Table, at_speed, ratio
from tests.benchmarks.size import Size
from tests.oracle.normaliser import open_events
from tests.support.reading import Events, reader

KIBIBYTES = (1, 20, 200, 760)
BYTES_A_ROUND = 100_000_000
"""Read by each reader: rounds of equal length, whatever the size."""

MOST_A_ROUND = 25_000
MOST_US = 250.0
BEFORE_US = 562.0
"""Of an event of 200 KB: the aim, and the reader before on the machine of the aims."""

COLUMNS = ("event, KB", "µs", "reader before, µs", "ratio")


async def measure(size: Size) -> Findings:
    """Measure each size in turns. The claim is of the speed at which the aim was set."""
    before = partial(open_events, types=Events())
    rows, claims = [], []
    for kib in KIBIBYTES:
        bodies = [body_of(kib * 1024, number) for number in range(min(100, 2000 // kib))]
        ours, theirs = [], []
        for _ in range(size.rounds):
            ours.append(microseconds(reader(), bodies))
            theirs.append(microseconds(before, bodies))
        mine, of_before = Spread(ours), ratio(ours, theirs)
        say(f"opening: {kib} KB: {mine} µs, {of_before} of before")
        rows.append([kib, mine, Spread(theirs), of_before])
        if kib == 200:
            speed = at_speed(ours, theirs, BEFORE_US)
            text = "CPU to open an event of 200 KB, at the speed of the aims"
            claims.append(Claim(text, speed, MOST_US, unit="µs"))
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
