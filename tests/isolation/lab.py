"""Where a scenario is played: the emulators, a queue per job, wires in between, workers."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import orjson

from tests.isolation.emulators import (
    REPORT_BUCKET,
    TABLE,
    Environment,
    Message,
    SqsServer,
    Wiretap,
    make_fixtures,
    make_queue,
    open_environment,
)
from tests.isolation.process import RUN, Worker
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event

JOBS = ("voice", "workflow", "attributes", "sentiment", "reports")
SHARED = "isolation-all"
LOOK_SECONDS = 0.05
MOST_RECEIVES = 50
"""As deploy/ sets the queue's own redrive policy."""

PRODUCT_DEFAULTS = ("BREAKER_OPEN_SECONDS", "BREAKER_MAX_OPEN_SECONDS", "SQS_WAIT_SECONDS")
"""Settings that the demo shortens and the proofs do not: their figures are the product's."""


@dataclass(kw_only=True)
class Lab:
    """A scenario under way."""

    emulators: Environment
    size: Size
    tap: Wiretap
    folder: Path
    stack: AsyncExitStack
    queues: dict[str, str]
    """URL by job; one and the same for all where they are not bound."""

    environment: dict[str, str]
    proof: Proof = field(default_factory=Proof)
    sent_at: dict[str, float] = field(default_factory=dict)
    """Wall clock, by message id."""

    by_message: dict[str, Event] = field(default_factory=dict)
    _deleted_at: dict[str, float] = field(default_factory=dict)
    _read: int = 0
    """Records of the journal that were read."""

    # Workers

    def worker(
        self,
        jobs: Sequence[str] = JOBS,
        name: str = "worker",
        *,
        program: Sequence[str] = RUN,
        output: int | None = None,
        **settings: object,
    ) -> Worker:
        """Return a worker of these jobs that is not started; killed when the lab closes.

        A setting that is None is taken away.
        """
        environment = {**self.environment, "HANDLERS": ",".join(jobs), "SQS_QUEUE_URL": ""}
        environment["SQS_QUEUE_URL"] = self.queue_setting(jobs)
        for key, value in settings.items():
            environment.pop(key, None)
            if value is not None:
                environment[key] = str(value)
        made = Worker(environment, self.folder / f"{name}.log", program=program, output=output)
        self.stack.push_async_exit(made.__aexit__)
        return made

    def queue_setting(self, jobs: Sequence[str]) -> str:
        """Return SQS_QUEUE_URL in the form that binds each queue to its job."""
        if not self.size.bound:
            return self.queues[jobs[0]]
        return ",".join(f"{job}={self.queues[job]}" for job in jobs)

    # Messages

    def send(self, *events: Event) -> list[str]:
        """Put events on the queues of their jobs; return the ids of the messages."""
        return [self.send_to(event.job, event) for event in events]

    def send_to(self, job: str, event: Event) -> str:
        """Put an event on the queue of a job, be it another's."""
        message_id = self.emulators.sqs.send(self.queues[job], event.body)
        self.sent_at[message_id] = time.time()
        self.by_message[message_id] = event
        return message_id

    def deleted_at(self) -> dict[str, float]:
        """Return the wall clock of the first accepted delete, by message id."""
        records = self.emulators.sqs.journal.records
        for record in records[self._read :]:
            if record.action.startswith("DeleteMessage") and record.outcome == "ok":
                for message_id in record.message_ids:
                    self._deleted_at.setdefault(message_id, record.time)
        self._read = len(records)
        return self._deleted_at

    def open(self, ids: Iterable[str]) -> list[str]:
        """Return those that are not deleted yet."""
        deleted = self.deleted_at()
        return [one for one in ids if one not in deleted]

    def done(self, ids: Iterable[str]) -> list[str]:
        """Return those that were deleted and are no dead letters."""
        deleted, dead = self.deleted_at(), set(self.dead_ids())
        return [one for one in ids if one in deleted and one not in dead]

    def waits(self, ids: Iterable[str]) -> list[float]:
        """Return the seconds from sent to deleted; infinite for what is not, or is dead."""
        deleted, dead = self.deleted_at(), set(self.dead_ids())
        never = float("inf")
        return [
            never if one in dead else deleted.get(one, never) - self.sent_at[one] for one in ids
        ]

    def receives(self, ids: Iterable[str]) -> list[int]:
        """Return how often each was given out."""
        counts = self.emulators.sqs.journal.receives
        return [counts[one] for one in ids]

    def dead_letters(self) -> tuple[Message, ...]:
        """Return what is on the dead-letter queue."""
        return self.emulators.sqs.messages(self.emulators.dead_letter_url)

    def dead_ids(self) -> list[str]:
        """Return the ids of the messages that the dead letters were."""
        return [origin_of(dead_letter) for dead_letter in self.dead_letters()]

    def on_queue(self, job: str) -> list[str]:
        """Return the ids of what is on a job's queue, visible or not."""
        return [message.id for message in self.emulators.sqs.messages(self.queues[job])]

    # Effects

    def workflows_of(self, events: Iterable[Event]) -> list[Event]:
        """Return those whose workflow was started."""
        return self._with_effect("executions", events)

    def written_of(self, events: Iterable[Event]) -> list[Event]:
        """Return those whose attributes were written."""
        return self._with_effect("attributes", events)

    def reported_to(self, events: Iterable[Event], sink: str = "crm webhook") -> list[Event]:
        """Return those that a webhook was sent."""
        return self._with_effect(sink, events)

    def _with_effect(self, sink: str, events: Iterable[Event]) -> list[Event]:
        there = {effect.conversation_id for effect in self.tap.effects if effect.sink == sink}
        return [event for event in events if event.conversation_id in there]

    async def records(self) -> dict[str, dict[str, Any]]:
        """Return the table's items by conversation."""
        found = {}
        async with self.emulators.aws("dynamodb") as dynamodb:
            async for page in dynamodb.get_paginator("scan").paginate(TableName=TABLE):
                for item in page["Items"]:
                    found[item["conversationId"]["S"]] = item
        return found

    async def records_of(self, events: Iterable[Event]) -> list[Event]:
        """Return those that have their record."""
        there = await self.records()
        return [event for event in events if event.conversation_id in there]

    async def report_files(self, name: str) -> list[str]:
        """Return the names of a report's files."""
        async with self.emulators.aws("s3") as s3:
            listed = await s3.list_objects_v2(Bucket=REPORT_BUCKET, Prefix=f"reports/{name}/")
        return [one["Key"].rpartition("/")[2] for one in listed.get("Contents", [])]

    # Waiting

    async def until(self, met: Callable[[], Any], seconds: float) -> float | None:
        """Wait until it holds; return after how long, None when it does not in so long."""
        began = time.monotonic()
        while True:
            found = met()
            if await found if asyncio.iscoroutine(found) else found:
                return time.monotonic() - began
            if time.monotonic() >= began + seconds:
                return None
            await asyncio.sleep(LOOK_SECONDS)

    async def until_done(self, ids: Sequence[str], seconds: float) -> float | None:
        """Wait until all are deleted."""
        return await self.until(lambda: not self.open(ids), seconds)

    async def stream(self, make: Callable[[], Event], *, every: float, seconds: float) -> list[str]:
        """Send one event after another for so long; return their ids."""
        ids, began = [], time.monotonic()
        while (due := began + len(ids) * every) < began + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            ids += self.send(make())
        return ids

    def keep(self) -> None:
        """Leave the journals beside the logs, to find a cause by."""
        queue = [record._asdict() for record in self.emulators.sqs.journal.records]
        effects = [effect._asdict() for effect in self.tap.effects]
        for name, entries in (("queue", queue), ("effects", effects)):
            lines = [orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries]
            (self.folder / f"{name}.jsonl").write_bytes(b"".join(lines))
        self.proof.note("kept in", self.folder)


def failure_of(dead_letter: Message) -> dict[str, Any]:
    """Return a dead letter's failure record; empty where SQS itself moved the message."""
    note = dead_letter.sent.attributes.get("worker.failure")
    return orjson.loads(note.value) if note else {}


def origin_of(dead_letter: Message) -> str:
    """Return the id of the message that a dead letter is a copy of, or was itself (redriven)."""
    return failure_of(dead_letter).get("messageId", dead_letter.id)


@asynccontextmanager
async def open_lab(size: Size, *, visibility_seconds: int = 30) -> AsyncIterator[Lab]:
    """Start the emulators and the wires, and make the queues."""
    folder = Path(mkdtemp(prefix="worker-isolation-"))
    async with AsyncExitStack() as stack:
        emulators = await stack.enter_async_context(open_environment(SqsServer()))
        await make_fixtures(emulators)
        tap = Wiretap()
        lab = Lab(
            emulators=emulators,
            size=size,
            tap=tap,
            folder=folder,
            stack=stack,
            queues=_queues(emulators, visibility_seconds, bound=size.bound),
            environment=_environment(emulators) | await _wired(emulators, tap, stack),
        )
        lab.environment["SQS_DEAD_LETTER_QUEUE_URL"] = lab.emulators.dead_letter_url
        try:
            yield lab
        except BaseException:
            lab.keep()
            raise
        if lab.proof.kept:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        else:
            lab.keep()


def _environment(emulators: Environment) -> dict[str, str]:
    ours = emulators.variables()
    return {name: value for name, value in ours.items() if name not in PRODUCT_DEFAULTS}


def _queues(emulators: Environment, visibility_seconds: int, *, bound: bool) -> dict[str, str]:
    def make(name: str) -> str:
        return make_queue(
            emulators.sqs,
            name,
            emulators.dead_letter_url,
            max_receives=MOST_RECEIVES,
            visibility_seconds=visibility_seconds,
        )

    if bound:
        return {job: make(f"isolation-{job}") for job in JOBS}
    return dict.fromkeys(JOBS, make(SHARED))


async def _wired(emulators: Environment, tap: Wiretap, stack: AsyncExitStack) -> dict[str, str]:
    """Put a wire before everything but SQS, the login and the CRM."""

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
