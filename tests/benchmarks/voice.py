"""Voice enrichment as a whole: the worker, and the same job as a script, in line and in threads.

Each event asks Genesys for its caller's number and a data action for the customer, and writes one
record. Every number is new, so no cache helps. Genesys takes 50 ms to answer, SQS and DynamoDB 5,
for all alike, by servers that cost next to nothing: the demo's would be the limit here, and moto
far more so. The worker reads the table before it writes, the script does not; neither logs events.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.children import upstream
from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.events import write_messages
from tests.benchmarks.findings import Cell, Claim, Findings, Table
from tests.benchmarks.queue_server import QueueServer, Stretch
from tests.benchmarks.running import Failed, Load, running
from tests.benchmarks.size import Size

LATENCY_SECONDS = 0.05
ROUND_TRIP_SECONDS = 0.005
DEFAULT, MANY = 64, 256
LONGEST_SECONDS = 120
QUICK_SHARE = 0.5
WARM_SHARE = 0.2
"""Part of the events before anything is counted: imports, connections, the token."""

SETTINGS = {
    "GENESYS_CLIENT_ID": "bench",
    "GENESYS_CLIENT_SECRET": "bench",
    "GENESYS_REQUESTS_PER_MINUTE": "100000000",
    "GENESYS_ACTION_CONCURRENCY": "256",  # MANY; an organization may have its limit raised
    "GENESYS_ACTION_ID": "custom_-_0c0ffee0-0000-4000-8000-000000000001",
    "DYNAMODB_TABLE": "voice-records",
    "HANDLERS": "voice",
    "LOG_LEVEL": "warning",
    "OPS_PORT": "0",
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One way to do the job."""

    name: str
    concurrency: int
    events: int
    """Of one round: as many as it does within some seconds."""

    is_script: bool = True

    def contestant(self, settings: Mapping[str, str]) -> Contestant:
        """Return what is started, with its whole environment."""
        threads = {"VOICE_THREADS": str(self.concurrency)} if self.concurrency > 1 else {}
        program = ["reference_pipeline.py"] if self.is_script else ["-m", "worker", "run"]
        return Contestant(
            self.name,
            how="",
            environment="reference" if self.is_script else "ours",
            program="python",
            arguments=lambda _: program,
            settings={**settings, **threads},
        )


OURS = Pipeline("ours, 64 at once", DEFAULT, 2000, is_script=False)
OURS_MANY = Pipeline("ours, 256 at once", MANY, 4000, is_script=False)
SEQUENTIAL = Pipeline("sequential script", 1, 60)
THREADS = Pipeline("script in 64 threads", DEFAULT, 800)
THREADS_MANY = Pipeline("script in 256 threads", MANY, 1200)
PIPELINES = (OURS, THREADS, SEQUENTIAL)
ONCE = (OURS_MANY, THREADS_MANY)
"""Shown beside the others, and no claim rests on them: one round each."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How one pipeline did in one round."""

    per_second: float
    per_cpu_second: float

    def __str__(self) -> str:
        return f"{self.per_second:.1f}/s, {self.per_cpu_second:.0f} a CPU second"


async def measure(size: Size) -> Findings:
    """Measure all of them by turns."""
    messages = size.work / "messages-voice.jsonl"
    write_messages(messages, max(one.events for one in (*PIPELINES, *ONCE)))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(QueueServer())
        genesys = await stack.enter_async_context(upstream("genesys", LATENCY_SECONDS))
        trial = _Trial(size, server, genesys, messages)
        found = await in_turns("voice", PIPELINES, size.rounds, trial)
        return reported(found, await in_turns("voice, 256 at once", ONCE, 1, trial))


@dataclass(frozen=True, slots=True)
class _Trial:
    size: Size
    server: QueueServer
    genesys: str
    messages: Path

    async def __call__(self, one: Pipeline) -> Rate:
        """Let it work through a backlog. Raises Failed."""
        count = int(one.events * (QUICK_SHARE if self.size.quick else 1))
        await self.server.reset(round_trip_seconds=ROUND_TRIP_SECONDS)
        await self.server.fill(self.messages, 0, count)
        # A new table each time: what is there already would be left alone.
        async with upstream("dynamodb", ROUND_TRIP_SECONDS) as table:
            stretch = await self._stretch(one, count, table)
        if not stretch.complete:
            raise Failed(f"not done within {LONGEST_SECONDS} s")
        return asked(one, rate_of(stretch))

    async def _stretch(self, one: Pipeline, count: int, table: str) -> Stretch:
        contestant = one.contestant(self._settings(table))
        load = Load(one.concurrency)
        async with running(contestant, self.server, load, self.size.work) as process:
            await self.server.watch(
                process.session,
                begin=int(count * WARM_SHARE),
                end=count - 1,  # message 0 is not counted
                seconds=LONGEST_SECONDS,
            )
            return await process.traffic(self.server, LONGEST_SECONDS)

    def _settings(self, table: str) -> dict[str, str]:
        return SETTINGS | {
            "AWS_ENDPOINT_URL_DYNAMODB": table,
            "AWS_REGION": "us-east-1",
            "GENESYS_API_URL": self.genesys,
            "GENESYS_LOGIN_URL": self.genesys,
        }


def asked(one: Pipeline, rate: Rate) -> Rate:
    """Return the rate. Raises Failed for one at which nothing can have been asked.

    Each event waits for two answers of Genesys, one after the other.
    """
    most = one.concurrency / (2 * LATENCY_SECONDS)
    if rate.per_second > 1.1 * most:
        raise Failed(
            f"{rate.per_second:.0f}/s: with two requests an event it is {most:.0f} at most"
        )
    return rate


def rate_of(stretch: Stretch) -> Rate:
    """Return events a second, by the clock and by CPU."""
    return Rate(stretch.deleted / stretch.seconds, stretch.deleted / stretch.cpu_seconds)


def reported(found: Results[Rate], many: Results[Rate]) -> Findings:
    """Return the table, and the claims against the scripts."""
    slow = found.of(SEQUENTIAL, "per_second").middle
    rows = [
        *(_row(one, found, THREADS, slow) for one in PIPELINES),
        *(_row(one, many, THREADS_MANY, slow) for one in ONCE),
    ]
    columns = (
        *("pipeline", "events/s", "times the sequential", "events a CPU second"),
        "times as many threads'",
    )
    title = f"Voice enrichment, Genesys at {LATENCY_SECONDS * 1000:.0f} ms"
    notes = [f"{MANY} at once: one round"]
    missing = [*found.notes(), *many.notes()]
    thrifty = found.ratio(OURS, THREADS, "per_cpu_second")
    text = f"voice events a CPU second, times those of {DEFAULT} threads"
    claims = [
        Claim(text, thrifty, 4, at_least=True),
        Claim("the same in the worst round", thrifty, 3, at_least=True, worst=True),
        Claim(
            "voice events a second, times those of the sequential script",
            found.ratio(OURS, SEQUENTIAL, "per_second"),
            30,
            at_least=True,
        ),
    ]
    return Findings([Table("voice", title, columns, rows, notes, missing)], claims=claims)


def _row(one: Pipeline, found: Results[Rate], threads: Pipeline, slow: float) -> list[Cell]:
    rate = found.of(one, "per_second")
    if not rate.rounds:
        return [one.name, None, None, None, None]
    return [
        one.name,
        rate,
        round(rate.middle / slow, 1),
        found.of(one, "per_cpu_second"),
        found.ratio(one, threads, "per_cpu_second"),
    ]
