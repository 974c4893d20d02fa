"""Who takes part: the worker, the bare loop, and the peers, each set as its documentation advises.

All get the same events. Those with a format of their own get them as the argument of a task that
their own producer sent.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks.environments import (
    OPTIMISED,
    PEERS,
    go_program,
    node_modules,
    our_python,
    python_of,
)
from tests.benchmarks.events import event

Command = Callable[[int], Sequence[str]]
"""From a concurrency to what follows the interpreter or program."""

AWS = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the tables."""

    name: str
    how: str
    """Its settings, for the notes."""

    environment: str
    """`ours`, `node`, `go`, or the name of a file of pins."""

    program: str
    """`python`, `node`, a script of the environment, or the Go source."""

    arguments: Command
    producer: str | None = None
    """Program that sends events in a format of its own; None: the plain event is the message."""

    settings: Mapping[str, str] = field(default_factory=dict)
    share: float = 1.0
    """Of the messages, what it is given: about a second's work, so that the ticks of CPU time
    weigh little with the fast, and the slow do not take for ever."""

    optimised: bool = False
    """Whether it runs on the optimised Python instead of the one that runs this."""

    @property
    def crawls(self) -> bool:
        """Whether it does a few messages a second only: then none is left out as warm-up."""
        return self.share < 0.1

    @property
    def format(self) -> str:
        """Return a name for the form of its messages that changes when they would."""
        sources = [event(0).encode()]
        if self.producer:
            pins = PEERS / f"{self.environment}.txt"
            sources += [(PEERS / self.producer).read_bytes(), pins.read_bytes()]
        digest = hashlib.sha256(b"".join(sources)).hexdigest()[:12]
        return f"{self.environment if self.producer else 'plain'}-{digest}"

    async def command(self, work: Path, concurrency: int) -> list[str]:
        """Return what starts it, its environment made if need be. Raises NotInstalled."""
        if self.environment == "node":
            home = await node_modules(work)
            return ["node", *(str(home / part) for part in self.arguments(concurrency))]
        if self.environment == "go":
            return [str(await go_program(self.program, work))]
        python = await self.python(work)
        program = python if self.program == "python" else python.parent / self.program
        return [str(program), *self.arguments(concurrency)]

    async def python(self, work: Path) -> Path:
        """Return its interpreter. Raises NotInstalled."""
        if self.environment == "ours":
            return await our_python(work) if self.optimised else Path(sys.executable)
        return await python_of(self.environment, work, optimised=self.optimised)


FAST = 3.0
"""Share of those that need less than 50 µs of CPU for a message."""

HANDLER = {
    "HANDLERS": "voice",
    "GENESYS_CLIENT_ID": "x",
    "GENESYS_CLIENT_SECRET": "x",
    "GENESYS_ACTION_ID": "x",
    "DYNAMODB_TABLE": "bench",
}
"""Without a handler that is on there is no worker; none of these is called."""


def _ours(name: str, how: str, share: float, **settings: str) -> Contestant:
    return Contestant(
        name,
        how,
        environment="ours",
        program="python",
        arguments=lambda _: ["-m", "tests.benchmarks.ours"],
        settings=HANDLER | settings,
        share=share,
    )


OURS = _ours("ours", "AWS_TRANSPORT as it is by default", FAST, LOG_LEVEL="warning")
OURS_LOGGING = _ours("ours, logging", "as ours, a line per message", 1.5)
OURS_SDK = _ours("ours, SDK", "AWS_TRANSPORT=sdk", 1.0, AWS_TRANSPORT="sdk", LOG_LEVEL="warning")
OURS_OPTIMISED = replace(
    OURS,
    name="ours, optimised Python",
    how=f"the same on {OPTIMISED.resolve()}, which has PGO and LTO",
    optimised=True,
)
BARE_LOOP = Contestant(
    "bare loop, wire client",
    "the bare loop on our client, and no work at all: what of our cost is SQS",
    environment="ours",
    program="python",
    arguments=lambda _: ["-m", "tests.benchmarks.bare_loop"],
    settings=HANDLER,
    share=FAST,
)
LEAST_LOOP = Contestant(
    "least loop, wire client",
    "the same; each event opened in full, in a task with a deadline, a counter and a histogram: "
    "the least that any worker in Python does",
    environment="ours",
    program="python",
    arguments=lambda _: ["-m", "tests.benchmarks.least_loop"],
    settings=HANDLER,
    share=FAST,
)
BARE = Contestant(
    "bare loop",
    "aiobotocore on uvloop, a loop per ten messages: receive 10, gather, delete batch",
    environment="bare",
    program="python",
    arguments=lambda _: ["bare_peer.py"],
)
BARE_OPTIMISED = replace(
    BARE, name="bare loop, optimised Python", how="the same on that Python", optimised=True
)
TASKIQ = Contestant(
    "taskiq-aio-sqs",
    "one worker process on uvloop, max-async-tasks as the concurrency, 10 a receive",
    environment="taskiq",
    program="taskiq",
    arguments=lambda n: [
        *("worker", "taskiq_peer:broker", "--workers", "1", "--max-async-tasks", str(n)),
        *("--log-level", "WARNING"),
    ],
    producer="taskiq_peer.py",
    share=0.2,
)
CELERY = Contestant(
    "celery[sqs]",
    "threads as the concurrency, acks_late, without gossip, mingle and heartbeat",
    environment="celery",
    program="celery",
    arguments=lambda n: [
        *("-A", "celery_peer", "worker", "-P", "threads", "-c", str(n), "-l", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ],
    producer="celery_peer.py",
    share=0.2,
)
DRAMATIQ = Contestant(
    "dramatiq-sqs",
    "one process, threads as the concurrency",
    environment="dramatiq",
    program="dramatiq",
    arguments=lambda n: ["dramatiq_peer", "--processes", "1", "--threads", str(n)],
    producer="dramatiq_peer.py",
    share=0.2,
)
SQS_WORKERS = Contestant(
    "sqs-workers",
    "one message after the other, it has no concurrency; raw queue, batch delete",
    environment="sqs_workers",
    program="python",
    arguments=lambda _: ["sqs_workers_peer.py"],
)
LOAFER = Contestant(
    "loafer-ng",
    "one route, 10 a receive; given few messages: it makes a client for each call",
    environment="loafer",
    program="python",
    arguments=lambda _: ["loafer_peer.py"],
    share=0.02,
)
SQS_CONSUMER = Contestant(
    "sqs-consumer",
    "Node; an instance per ten messages, batch handler",
    environment="node",
    program="node",
    arguments=lambda _: ["sqs_consumer_peer.mjs"],
)
SQUISS = Contestant(
    "squiss-ts",
    "Node; maxInFlight as the concurrency, deletes by ten or after 200 ms",
    environment="node",
    program="node",
    arguments=lambda _: ["squiss_peer.mjs"],
)

GO = Contestant(
    "Go",
    "net/http and the AWS SDK's signer: receive 10, a goroutine a message that parses the event "
    "under a deadline, delete batch",
    environment="go",
    program="go_peer.go",
    arguments=lambda _: [],
    settings={"BENCH_PARSE": "1"},
    share=FAST,
)
GO_UNPARSED = replace(GO, name="Go, unparsed", how="the same, and opens nothing", settings={})

SLOW = (TASKIQ, CELERY, DRAMATIQ, LOAFER)
"""They take twenty times the CPU of ours and more: one round is enough."""

PEERS_OF_OURS = (TASKIQ, CELERY, DRAMATIQ, SQS_WORKERS, LOAFER, SQS_CONSUMER, SQUISS)
FOLDER = PEERS
