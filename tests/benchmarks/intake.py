"""What a message costs that nothing is done with: throughput, CPU and calls.

A backlog, at several round trips, and once more over TLS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.benchmarks.contest import LAPS, Results, in_turns, mean_turn
from tests.benchmarks.contestants import (
    BARE,
    BARE_LOOP,
    BARE_OPTIMISED,
    GO,
    GO_UNPARSED,
    LEAST_LOOP,
    OURS,
    OURS_LOGGING,
    OURS_OPTIMISED,
    OURS_SDK,
    PEERS_OF_OURS,
    SLOW,
    SQS_CONSUMER,
    SQS_WORKERS,
    SQUISS,
    Contestant,
)
from tests.benchmarks.findings import Cell, Claim, Curve, Findings, Spread, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Load, messages_of, running
from tests.benchmarks.size import Size, python_build
from tests.support.tls import a_certificate

CONCURRENCY = 64
CLOSE = (OURS_OPTIMISED, OURS, GO, BARE)
"""They are held to each other, so they take several turns a round, side by side."""

AT_5_MS = (*CLOSE * LAPS, SQS_WORKERS, SQS_CONSUMER, SQUISS)
AT_20_MS = (*CLOSE * LAPS, SQS_CONSUMER, SQUISS)
TURNS: Mapping[int, Sequence[Contestant]] = {
    0: (
        *CLOSE * LAPS,
        *(BARE_OPTIMISED, OURS_LOGGING, OURS_SDK, BARE_LOOP, LEAST_LOOP, GO_UNPARSED),
        *(SQS_WORKERS, SQS_CONSUMER, SQUISS),
    ),
    5: AT_5_MS,
    20: AT_20_MS,
}
"""Who takes part, by milliseconds of round trip."""

OVER_TLS = (*CLOSE * LAPS, BARE_LOOP, GO_UNPARSED)
EVERYONE = (*{one.name: one for one in TURNS[0]}.values(), *SLOW)
OF_GO = 1.0
OF_GO_OVER_TLS = 1.6
WARM_SHARE = 0.1
"""Part of the messages before the stretch that is measured: start-up and first calls are not."""

TAIL_SHARE = 0.05
"""Part of them after it: with none left, pollers ask in vain, which is no backlog's cost."""

START_SECONDS = 20
COLUMNS = (
    "contestant",
    "messages/s",
    "CPU µs/message",
    "of the bare loop's",
    "of Go's",
    "calls/1,000",
    "messages",
    "server busy %",
)
NOTES = (
    f"concurrency {CONCURRENCY}; without the first tenth and the last twentieth, at most seconds",
    "CPU: user and system time of the process and its children, from /proc",
    "ours and Go parse the event, the others nothing; only `ours, logging` logs each message",
    f"ours, Go and the bare loop take {LAPS} turns a round, and their mean is the round",
    "± is half the distance between the best and the worst round; ratios are taken round by round",
)


class Cost(NamedTuple):
    """One turn, or the mean of those of a round."""

    per_second: float
    cpu_us: float
    calls: float
    """A thousand messages."""

    deleted: float
    busy: float
    """Share of the time in which the server had work: near 1, it was what was measured."""

    def __str__(self) -> str:
        return f"{self.per_second:.0f}/s, {self.cpu_us:.0f} µs, {self.calls:.0f} calls"


async def measure(size: Size) -> Findings:
    """Return tables by round trip, the curves of throughput and CPU, and the claims."""
    async with QueueServer() as server:
        found = {
            milliseconds: await in_turns(
                f"intake, {milliseconds} ms",
                contestants,
                size.rounds,
                Trial(size, server, milliseconds / 1000),
                mean=mean_turn,
            )
            for milliseconds, contestants in TURNS.items()
            if not size.quick or milliseconds < 20
        }
        slow = await in_turns("intake, the slow", SLOW, 1, Trial(size, server, 0.0))
    return reported(found | {0: _both(found[0], slow)}, await _over_tls(size))


def _both(one: Results[Cost], other: Results[Cost]) -> Results[Cost]:
    return Results(one.rounds | other.rounds, one.reasons | other.reasons)


async def _over_tls(size: Size) -> Results[Cost]:
    with TemporaryDirectory(prefix="worker-bench-") as folder:
        async with QueueServer(a_certificate(Path(folder))) as server:
            trial = Trial(size, server, 0.0)
            return await in_turns("intake, TLS", OVER_TLS, size.rounds, trial, mean=mean_turn)


@dataclass(frozen=True, slots=True)
class Trial:
    size: Size
    server: QueueServer
    round_trip_seconds: float

    async def __call__(self, one: Contestant) -> Cost:
        """Let it work through a backlog that appears at once."""
        count = int(self.size.messages * one.share)
        messages = await messages_of(one, self.server, self.size)
        await self.server.reset(round_trip_seconds=self.round_trip_seconds)
        seconds = 2 if self.size.quick else 3
        async with running(one, self.server, Load(CONCURRENCY), self.size.work) as process:
            begin = 0 if one.crawls else int(count * WARM_SHARE)
            end = count - int(count * TAIL_SHARE)
            await self.server.watch(process.session, begin=begin, end=end, seconds=seconds)
            await self.server.fill(messages, 1, count)
            stretch = await process.traffic(self.server, seconds + START_SECONDS)
        return Cost(
            per_second=stretch.deleted / stretch.seconds,
            cpu_us=1e6 * stretch.cpu_seconds / stretch.deleted,
            calls=1000 * stretch.calls_a_message,
            deleted=stretch.deleted,
            busy=stretch.server_seconds / stretch.seconds,
        )


def reported(found: Mapping[int, Results[Cost]], over_tls: Results[Cost]) -> Findings:
    """Return what the runs come to, by milliseconds of round trip, and over TLS without one."""
    tables = [
        *(_table(f"{one}ms", f"{one} ms round trip", results) for one, results in found.items()),
        _table("tls", "over TLS, 0 ms round trip", over_tls),
    ]
    curves = [
        _curve("throughput", "messages/s", found, "per_second"),
        _curve("cpu", "CPU µs/message", found, "cpu_us"),
    ]
    return Findings(tables, curves, [*_claims(found), *_tls_claims(over_tls)])


def _table(name: str, title: str, results: Results[Cost]) -> Table:
    taking_part = [one for one in EVERYONE if one.name in results.rounds]
    notes = []
    if name == "0ms":  # they hold for all of them
        notes = [*NOTES]
        notes += [f"{', '.join(one.name for one in SLOW)}: one round, and without round trip only"]
        notes += [f"Python: {python_build()}"]
        notes += [f"{one.name}: {one.how}" for one in taking_part]
    return Table(
        f"intake_{name}",
        f"Intake of no-op messages, {title}",
        COLUMNS,
        [_row(one, results) for one in taking_part],
        notes,
        results.notes(),
    )


def _row(one: Contestant, results: Results[Cost]) -> list[Cell]:
    if not results.rounds[one.name]:
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    bare = BARE_OPTIMISED if one.optimised else BARE
    return [
        one.name,
        results.of(one, "per_second"),
        results.of(one, "cpu_us"),
        results.ratio(one, bare, "cpu_us") if bare.name in results.rounds else None,
        results.ratio(one, GO, "cpu_us"),
        round(results.of(one, "calls").middle),
        round(results.of(one, "deleted").middle),
        round(100 * results.of(one, "busy").middle),
    ]


def _curve(name: str, y_label: str, found: Mapping[int, Results[Cost]], figure: str) -> Curve:
    series = {
        one.name: [
            (milliseconds, results.of(one, figure).middle)
            for milliseconds, results in found.items()
            if results.rounds.get(one.name)
        ]
        for one in AT_5_MS
    }
    return Curve(f"intake_{name}", f"No-op messages: {y_label}", "round trip, ms", y_label, series)


def _claims(found: Mapping[int, Results[Cost]]) -> list[Claim]:
    calls = [results.of(OURS, "calls") for results in found.values()]
    # No reply of the real SQS comes at once.
    at = {f" at {ms} ms of round trip" if ms else "": results for ms, results in found.items()}
    return [
        *(claim for where, results in at.items() for claim in _cpu_claims(where, results)),
        Claim("CPU of a message, of the cheapest other peer's", _of_cheapest(found[0]), 1.0),
        Claim("SQS calls for 1,000 messages, at any round trip", max(calls, key=_middle), 200),
    ]


def _cpu_claims(where: str, results: Results[Cost]) -> list[Claim]:
    what = f"CPU of a message{where}"
    optimised, usual = (results.ratio(one, GO, "cpu_us") for one in (OURS_OPTIMISED, OURS))
    return [
        _of_bare(where, results),
        Claim(f"{what} on the optimised Python, of Go's with parse", optimised, OF_GO),
        Claim(f"{what}, of Go's with parse", usual, OF_GO),
    ]


def _of_bare(where: str, results: Results[Cost]) -> Claim:
    ratio = results.ratio(OURS, BARE, "cpu_us")
    return Claim(f"CPU of a message{where}, of the bare loop's", ratio, 0.3)


def _tls_claims(over_tls: Results[Cost]) -> list[Claim]:
    ratio = over_tls.ratio(OURS, GO, "cpu_us")
    return [
        _of_bare(" over TLS", over_tls),
        Claim("CPU of a message over TLS, of Go's with parse", ratio, OF_GO_OVER_TLS),
    ]


def _of_cheapest(results: Results[Cost]) -> Spread:
    """Return the highest ratio to a peer that was measured: no other is as near to ours."""
    ratios = [results.ratio(OURS, peer, "cpu_us") for peer in PEERS_OF_OURS]
    return max((one for one in ratios if one.rounds), key=_middle, default=Spread([]))


def _middle(spread: Spread) -> float:
    return spread.middle
