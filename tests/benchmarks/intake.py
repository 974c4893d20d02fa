"""What a message costs that nothing is done with: throughput, CPU and calls.

A backlog, at several round trips, and once more over TLS.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import (
    BARE,
    BARE_LOOP,
    GO,
    GO_UNPARSED,
    LEAST_LOOP,
    OURS,
    OURS_LOGGING,
    OURS_SDK,
    PEERS_OF_OURS,
    SQUISS,
    Contestant,
)
from tests.benchmarks.findings import Cell, Claim, Curve, Findings, Spread, Table
from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.running import Load, messages_of, running
from tests.benchmarks.size import Size
from tests.support.tls import a_certificate

CONCURRENCY = 64
CONTESTANTS = (
    *(OURS, OURS_LOGGING, OURS_SDK, BARE_LOOP, LEAST_LOOP, BARE),
    *(GO, GO_UNPARSED, *PEERS_OF_OURS),
)
OVER_TLS = (OURS, BARE_LOOP, BARE, GO, GO_UNPARSED)
ROUND_TRIPS = (0, 5, 20)
"""Milliseconds."""

WARM_SHARE = 0.1
"""Part of the messages before the stretch that is measured: start-up and first calls are not."""

START_SECONDS = 20
COLUMNS = (
    "contestant",
    "messages/s",
    "CPU µs/message",
    "CPU of the bare loop's",
    "calls/1,000",
    "messages",
    "server busy %",
)
NOTES = (
    f"concurrency {CONCURRENCY}; after the first tenth of the messages, at most some seconds",
    "CPU: user and system time of the process and its children, from /proc",
    "ours and Go parse the event, the others nothing; only `ours, logging` logs each message",
    "± is half the distance between the best and the worst round",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One run."""

    per_second: float
    cpu_us: float
    calls: float
    """A thousand messages."""

    deleted: int
    busy: float
    """Share of the time in which the server had work: near 1, it was what was measured."""

    def __str__(self) -> str:
        return f"{self.per_second:.0f}/s, {self.cpu_us:.0f} µs, {self.calls:.0f} calls"


async def measure(size: Size) -> Findings:
    """Return tables by round trip, the curves of throughput and CPU, and the claims."""
    async with QueueServer() as server:
        found = {}
        for milliseconds in ROUND_TRIPS[: 2 if size.quick else None]:
            trial = _Trial(size, server, milliseconds / 1000)
            what = f"intake, {milliseconds} ms"
            found[milliseconds] = await in_turns(what, CONTESTANTS, size.rounds, trial)
    return reported(found, await _over_tls(size))


async def _over_tls(size: Size) -> Results[Cost]:
    with TemporaryDirectory(prefix="worker-bench-") as folder:
        async with QueueServer(a_certificate(Path(folder))) as server:
            return await in_turns("intake, TLS", OVER_TLS, size.rounds, _Trial(size, server, 0.0))


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    server: QueueServer
    round_trip_seconds: float

    async def __call__(self, one: Contestant) -> Cost:
        """Let it work through a backlog that appears at once."""
        count = int(self.size.messages * one.share)
        messages = await messages_of(one, self.server, self.size.work, self.size.messages + 1)
        await self.server.reset(round_trip_seconds=self.round_trip_seconds)
        seconds = 2 if self.size.quick else 3
        async with running(one, self.server, Load(CONCURRENCY), self.size.work) as process:
            begin = 0 if one.crawls else int(count * WARM_SHARE)
            await self.server.watch(process.session, begin=begin, end=count, seconds=seconds)
            await self.server.fill(messages, 1, count)
            stretch = await process.traffic(self.server, seconds + START_SECONDS)
        return Cost(
            per_second=stretch.deleted / stretch.seconds,
            cpu_us=1e6 * stretch.cpu_seconds / stretch.deleted,
            calls=1000 * sum(stretch.calls.values()) / stretch.deleted,
            deleted=stretch.deleted,
            busy=stretch.server_seconds / stretch.seconds,
        )


def reported(found: Mapping[int, Results[Cost]], over_tls: Results[Cost]) -> Findings:
    """Return what the runs come to, by milliseconds of round trip, and over TLS without one."""
    tables = [
        *(
            _table(f"{milliseconds}ms", f"{milliseconds} ms round trip", CONTESTANTS, results)
            for milliseconds, results in found.items()
        ),
        _table("tls", "over TLS, 0 ms round trip", OVER_TLS, over_tls),
    ]
    curves = [
        _curve("throughput", "messages/s", found, lambda cost: cost.per_second),
        _curve("cpu", "CPU µs/message", found, lambda cost: cost.cpu_us),
    ]
    return Findings(tables, curves, [*_claims(found), *_tls_claims(over_tls)])


def _table(
    name: str, title: str, contestants: Sequence[Contestant], results: Results[Cost]
) -> Table:
    bare = _middle(results, BARE, "cpu_us")
    rows = [_row(one, results.rounds[one.name], bare) for one in contestants]
    settings = [f"{one.name}: {one.how}" for one in contestants] if name == "0ms" else []
    return Table(
        f"intake_{name}",
        f"Intake of no-op messages, {title}",
        COLUMNS,
        rows,
        [*NOTES, *settings, *results.notes()],
    )


def _row(one: Contestant, rounds: Sequence[Cost], bare: float) -> list[Cell]:
    if not rounds:
        return [one.name, *[None] * (len(COLUMNS) - 1)]
    cpu = Spread([cost.cpu_us for cost in rounds])
    return [
        one.name,
        Spread([cost.per_second for cost in rounds]),
        cpu,
        round(cpu.middle / bare, 2),
        round(Spread([cost.calls for cost in rounds]).middle),
        round(Spread([cost.deleted for cost in rounds]).middle),
        round(100 * Spread([cost.busy for cost in rounds]).middle),
    ]


def _curve(
    name: str,
    y_label: str,
    found: Mapping[int, Results[Cost]],
    figure: Callable[[Cost], float],
) -> Curve:
    series = {
        one.name: [
            (milliseconds, Spread([figure(cost) for cost in rounds]).middle)
            for milliseconds, results in found.items()
            if (rounds := results.rounds[one.name])
        ]
        for one in CONTESTANTS
        if not one.crawls  # beside it, all others would lie on the axis
    }
    return Curve(f"intake_{name}", f"No-op messages: {y_label}", "round trip, ms", y_label, series)


def _claims(found: Mapping[int, Results[Cost]]) -> list[Claim]:
    none, five = found[0], found[5]
    ours = _middle(none, OURS, "cpu_us")
    peers = [_middle(none, peer, "cpu_us") for peer in PEERS_OF_OURS]
    best = min((cost for cost in peers if cost == cost), default=nan)  # noqa: PLR0124  nan: not measured
    rate = _middle(five, OURS, "per_second") / _middle(five, SQUISS, "per_second")
    calls = max(_middle(results, OURS, "calls") for results in found.values())
    return [
        Claim("CPU of a message, of the bare loop's", ours / _middle(none, BARE, "cpu_us"), 0.3),
        Claim("CPU of a message, of Go's with parse", ours / _middle(none, GO, "cpu_us"), 1.0),
        Claim("CPU of a message, of the cheapest peer's", ours / best, 1.0),
        Claim("SQS calls for 1,000 messages, at any round trip", calls, 200),
        Claim("messages/s at 5 ms round trip, of squiss-ts's", rate, 1.0, at_least=True),
    ]


def _tls_claims(over_tls: Results[Cost]) -> list[Claim]:
    ours, bare, go = (_middle(over_tls, one, "cpu_us") for one in (OURS, BARE, GO))
    return [
        Claim("CPU of a message over TLS, of the bare loop's", ours / bare, 0.3),
        Claim("CPU of a message over TLS, of Go's with parse", ours / go, 1.6),
    ]


def _middle(results: Results[Cost], one: Contestant, figure: str) -> float:
    rounds = results.rounds[one.name]
    return Spread([getattr(cost, figure) for cost in rounds]).middle if rounds else nan
