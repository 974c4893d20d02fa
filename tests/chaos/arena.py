"""Where a scenario plays: the demo's emulators, a wire before each sink, workers as processes."""

import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import orjson

from tests.chaos.checker import History, check
from tests.chaos.findings import Findings
from tests.chaos.wiretap import Wiretap
from worker.demo import Demo, Planned
from worker.demo.environment import (
    JOB_QUEUES,
    Environment,
    Queues,
    make_fixtures,
    make_queue,
    open_environment,
)
from worker.demo.process import WorkerProcess
from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.control import FaultPlan
from worker.emulators.sqs.model import Message

VISIBILITY_SECONDS = 10
IDEMPOTENCY_TABLE = "idempotency"
RUN = ("-m", "worker", "run")
SETTINGS = {
    "SQS_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS),
    # Long runs must not let the beginnings of conversations grow too old to matter.
    "ATTRIBUTES_MAX_AGE_SECONDS": "36000",
    "LEDGER_LEASE_SECONDS": "4",
}


@dataclass(kw_only=True)
class Arena:
    """A run under way."""

    seed: int
    emulators: Environment
    tap: Wiretap
    folder: Path
    stack: AsyncExitStack
    environment: dict[str, str]
    findings: Findings = field(default_factory=Findings)
    sent: dict[str, Planned] = field(default_factory=dict)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    async def worker(
        self, name: str = "worker", program: Sequence[str] = RUN, **settings: object
    ) -> WorkerProcess:
        """Return a worker that is not started; it is killed when the arena closes."""
        own = {key: str(value) for key, value in settings.items()}
        environment = {**self.emulators.variables(), **self.environment, **own}
        process = WorkerProcess(environment, self.folder / f"{name}.log", program)
        self.stack.push_async_exit(process.__aexit__)
        return process

    def send(self, planned: Iterable[Planned], group_id: str | None = None) -> list[str]:
        """Put messages on the queue, or on those of their jobs; return their ids."""
        ids = []
        for message in planned:
            for url, message_id in self._put(message, group_id):
                self.sent[message_id] = replace(message, queue_of=self._job_of(url))
                ids.append(message_id)
        return ids

    def _put(self, message: Planned, group_id: str | None) -> list[tuple[str, str]]:
        emulators = self.emulators
        if emulators.job_queues:
            return emulators.put(message.body, message.queue_of)
        message_id = emulators.sqs.send(
            emulators.queue_url,
            message.body,
            group_id=group_id,
            deduplication_id=f"{len(self.sent)}" if group_id else None,
        )
        return [(emulators.queue_url, message_id)]

    def _job_of(self, url: str) -> str | None:
        return next((job for job, of in self.emulators.job_queues.items() if of == url), None)

    async def settled(self, seconds: float) -> bool:
        """Wait until all queues are empty; False when they are not after so long."""
        try:
            await self.emulators.sqs.wait_until(lambda: self.emulators.waiting() == 0, seconds)
        except TimeoutError:
            return False
        return True

    def dead_letters(self) -> tuple[Message, ...]:
        """Return what was dead-lettered."""
        return self.emulators.sqs.messages(self.emulators.dead_letter_url)

    def history(self) -> History:
        """Join the journals as they are now."""
        deleted_at: dict[str, float] = {}
        urls = self.emulators.queue_urls()
        queues = {url.rpartition("/")[2] for url in urls}
        for record in self.emulators.sqs.journal.records:
            if record.action.startswith("DeleteMessage") and record.outcome == "ok":
                for message_id in record.message_ids if record.queue in queues else ():
                    deleted_at.setdefault(message_id, record.time)
        return History(
            sent=self.sent,
            deleted_at=deleted_at,
            effects=self.tap.effects,
            dead_lettered=[origin_of(dead_letter) for dead_letter in self.dead_letters()],
            left=[message.id for url in urls for message in self.emulators.sqs.messages(url)],
        )

    def check(self) -> History:
        """Check what holds in every scenario."""
        history = self.history()
        self.findings.add(check(history))
        return history

    def receives(self, job: str | None = None) -> dict[str, int]:
        """Return how often each of our messages was given out; `job`: of those on its queue."""
        counts = self.emulators.sqs.journal.receives
        return {
            key: counts[key]
            for key, planned in self.sent.items()
            if job is None or planned.queue_of == job
        }

    async def expect_effects(
        self, jobs: Iterable[Demo], figures: Mapping[str, float] | None = None
    ) -> None:
        """Note a violation for each sink that does not hold what the jobs' traffic must leave.

        `figures`: the worker's metrics, where what is at best effort may have been let go; it
        counts what it lets go, and neither more nor less may be missing.
        """
        for effects in [effects for job in jobs for effects in await job.effects(self.emulators)]:
            series = f'worker_best_effort_failures_total{{effect="{effects.best_effort}"}}'
            let_go = int((figures or {}).get(series, 0))
            right = replace(effects, found=effects.found + let_go).right
            detail = f"{effects.found} of {effects.expected}, {let_go} let go"
            self.findings.expect(
                right, f"{effects.sink}, each once", f"{detail} {list(effects.wrong)[:3]}"
            )

    def expect_receives(self, at_most: int, job: str | None = None) -> None:
        """Note a violation if a message, of one job's queue or of all, was given out more often."""
        beyond = (key for key, times in self.receives(job).items() if times > at_most)
        which = f"{job}: " if job else ""
        self.findings.none_of(beyond, f"{which}received more than {at_most} times")

    def keep(self) -> None:
        """Leave the journals beside the logs of the workers, to find a cause by."""
        journals = {
            "sent": [
                (key, one.kind, one.disposition, one.body[:2000]) for key, one in self.sent.items()
            ],
            "queue": [record._asdict() for record in self.emulators.sqs.journal.records],
            "effects": [effect._asdict() for effect in self.tap.effects],
        }
        for name, entries in journals.items():
            lines = [orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries]
            (self.folder / f"{name}.jsonl").write_bytes(b"".join(lines))
        self.findings.figures["kept in"] = self.folder

    async def make_idempotency_table(self) -> dict[str, str]:
        """Make the table of the idempotency table; return the setting that names it."""
        async with self.emulators.aws("dynamodb") as dynamodb:
            await dynamodb.create_table(
                TableName=IDEMPOTENCY_TABLE,
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            )
        return {"LEDGER_TABLE": IDEMPOTENCY_TABLE}


def shortened(scale: float) -> dict[str, float]:
    """Return settings under which breakers and retries live so many times faster."""
    return {
        "BREAKER_OPEN_SECONDS": 5 / scale,
        "BREAKER_MAX_OPEN_SECONDS": 60 / scale,
        "RETRY_BASE_SECONDS": 5 / scale,
        "RETRY_CAP_SECONDS": 900 / scale,
    }


async def figures_of(worker: WorkerProcess) -> dict[str, float]:
    """Return the worker's own metrics by series, as its page writes them."""
    lines = (await worker.page("/metrics")).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {series: float(value) for series, value in pairs}


def origin_of(dead_letter: Message) -> str:
    """Return the id of the message that a dead letter is a copy of, or was itself (redriven)."""
    note = dead_letter.sent.attributes.get("worker.failure")
    return orjson.loads(note.value)["messageId"] if note else dead_letter.id


@asynccontextmanager
async def open_arena(
    seed: int,
    *,
    fifo: bool = False,
    queues: Queues = "one",
    max_receives: int = 50,
    faults: FaultPlan | None = None,
) -> AsyncIterator[Arena]:
    """Start the emulators and the wires; `max_receives`: of the queues' own redrive policy."""
    path = Path(mkdtemp(prefix="worker-chaos-"))
    async with AsyncExitStack() as stack:
        emulators = await stack.enter_async_context(open_environment(SqsServer(faults=faults)))
        await make_fixtures(emulators)
        emulators = _with_queues(emulators, max_receives, queues, fifo=fifo)
        tap = Wiretap()
        arena = Arena(
            seed=seed,
            emulators=emulators,
            tap=tap,
            folder=path,
            stack=stack,
            environment=SETTINGS | await _wired(emulators, tap, stack),
        )
        try:
            yield arena
        except BaseException:
            arena.keep()
            raise
    if arena.findings.violations:
        arena.keep()
    else:
        shutil.rmtree(path)


def _with_queues(
    emulators: Environment, max_receives: int, queues: Queues, *, fifo: bool
) -> Environment:
    """Return emulators with queues of our own, one or one per job, joined by a redrive policy."""
    end, kind = (".fifo", {"FifoQueue": "true"}) if fifo else ("", {})
    dead_letters = emulators.sqs.create_queue(f"chaos-dlq{end}", **kind)

    def make(name: str) -> str:
        return make_queue(
            emulators.sqs,
            f"{name}{end}",
            dead_letters,
            max_receives=max_receives,
            visibility_seconds=VISIBILITY_SECONDS,
            **kind,
        )

    emulators = replace(emulators, dead_letter_url=dead_letters)
    if queues == "one":
        return replace(emulators, queue_url=make("chaos"))
    job_queues = {job: make(f"chaos-{job}") for job in JOB_QUEUES}
    return replace(emulators, queue_url=job_queues["voice"], job_queues=job_queues)


async def _wired(emulators: Environment, tap: Wiretap, stack: AsyncExitStack) -> Mapping[str, str]:
    """Put a wire before everything but SQS and the login; return the settings that lead there."""

    async def on(upstream: str, url: str) -> str:
        return await stack.enter_async_context(tap.on(upstream, url.removesuffix("/hook")))

    hooks = {
        "ANALYTICS_WEBHOOK_URL": "analytics",
        "CRM_WEBHOOK_URL": "crm",
        "ALERT_WEBHOOK_URL": "alert",
        "REPORT_WEBHOOK_URL": "report",
    }
    return {
        "AWS_ENDPOINT_URL": await on("aws", emulators.aws_url),
        "GENESYS_API_URL": await on("genesys", emulators.genesys.url),
        **{key: f"{await on(name, emulators.sinks[name].url)}/hook" for key, name in hooks.items()},
    }
