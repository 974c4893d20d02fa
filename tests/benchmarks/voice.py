"""Voice enrichment as a whole: the worker, and the same job as a script, in line and in threads.

Each event asks Genesys for its caller's number and a data action for the customer, and writes one
record. Every number is new, so no cache helps. Genesys takes 50 ms to answer, SQS and DynamoDB 5,
for all alike, by servers that cost next to nothing: the demo's would be the limit here, and moto
far more so. The worker reads the table before it writes, the script does not; neither logs events.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import nan
from pathlib import Path

from tests.benchmarks.children import upstream
from tests.benchmarks.contest import Results, in_turns
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.events import write_messages
from tests.benchmarks.findings import Claim, Findings, Spread, Table
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
PIPELINES = (OURS, OURS_MANY, SEQUENTIAL, THREADS, THREADS_MANY)


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
    write_messages(messages, max(one.events for one in PIPELINES))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(QueueServer())
        genesys = await stack.enter_async_context(upstream("genesys", LATENCY_SECONDS))
        trial = _Trial(size, server, genesys, messages)
        return reported(await in_turns("voice", PIPELINES, size.rounds, trial))


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


def reported(found: Results[Rate]) -> Findings:
    """Return the table, and the claims against the scripts."""
    slow = _middle(found, SEQUENTIAL, "per_second")
    rows = [
        [
            one.name,
            Spread([rate.per_second for rate in rates]),
            round(_middle(found, one, "per_second") / slow, 1),
            Spread([rate.per_cpu_second for rate in rates]),
        ]
        for one in PIPELINES
        if (rates := found.rounds[one.name])
    ]
    columns = ("pipeline", "events/s", "times the sequential", "events a CPU second")
    title = "Voice enrichment, Genesys at 50 ms"
    faster = _middle(found, OURS, "per_second") / slow
    claims = [
        Claim("voice events/s, times the sequential script", faster, 30, at_least=True),
        _thriftier(found, OURS, THREADS, 4),
        _thriftier(found, OURS_MANY, THREADS_MANY, 3),
        _worst(found),
    ]
    return Findings([Table("voice", title, columns, rows, found.notes())], claims=claims)


def _worst(found: Results[Rate]) -> Claim:
    """Compare round by round: the two ran within the same minutes."""
    rounds = zip(found.rounds[OURS.name], found.rounds[THREADS.name], strict=False)
    ratios = [ours.per_cpu_second / threads.per_cpu_second for ours, threads in rounds]
    text = "the same at 64, in the worst round"
    return Claim(text, min(ratios, default=nan), 3, at_least=True)


def _thriftier(found: Results[Rate], ours: Pipeline, threads: Pipeline, least: float) -> Claim:
    ratio = _middle(found, ours, "per_cpu_second") / _middle(found, threads, "per_cpu_second")
    text = (
        f"voice events a CPU second, times those of {threads.concurrency} threads, as many at once"
    )
    return Claim(text, ratio, least, at_least=True)


def _middle(found: Results[Rate], one: Pipeline, figure: str) -> float:
    rounds = found.rounds[one.name]
    return Spread([getattr(rate, figure) for rate in rounds]).middle if rounds else nan
