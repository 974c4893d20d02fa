"""One process of the worker: everything of it that decides is the real thing."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

from tests.simulation.clock import EPOCH
from tests.simulation.scenario import Job, Scenario
from tests.simulation.sqs import QueueOfProcess, Sent, SimulatedQueue
from tests.simulation.upstreams import Calls, OtherSide
from worker.app.context import AppContext, Shared
from worker.app.daemon import Daemon
from worker.app.intake import join_intake
from worker.app.jobs import load_settings
from worker.app.upstreams import Upstreams
from worker.clients.aws.sqs import MAX_IN_FLIGHT, QueueAttributes
from worker.errors import Permanent
from worker.events.origin import Origin, Result
from worker.events.reading import ForJob
from worker.intake.assembly import Intake
from worker.intake.idempotency import Idempotency
from worker.intake.queue import OpenQueue
from worker.intake.router import Reading, Route, Routes, Unrouted
from worker.settings import Settings
from worker.settings.bindings import QueueBinding

VISIBILITY_SECONDS = 60
SAMPLE_SECONDS = 10.0
REFUSAL_SECONDS = 0.02


class Event:
    """An event of any job; each job has a class of its own, made below."""

    __slots__ = ("conversation_id", "origin", "sent")

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.conversation_id = str(sent.number)
        key = str(sent.number)
        occurred = datetime.fromtimestamp(EPOCH + sent.sent, UTC)
        self.origin = Origin(event_id=key, detail_type=sent.job, identity=key, occurred_at=occurred)


@dataclass(frozen=True, slots=True)
class World:
    """What all processes have in common."""

    scenario: Scenario
    queues: Sequence[SimulatedQueue]
    side: OtherSide
    message: Callable[[str], Sent]
    done: Callable[[Sent], None]
    refusal: Callable[[Sent], str]


class Process:
    """A running worker."""

    def __init__(self, world: World, seed: int) -> None:
        scenario = world.scenario
        self._world = world
        self.settings = _settings(scenario)
        random = Random(seed)
        self.upstreams = Upstreams(
            self.settings.breaker, random, self.settings.retry.after_cap_seconds
        )
        context = AppContext(
            self.settings, self.upstreams, _NO_AWS, AsyncExitStack(), random, Shared()
        )
        names = {name for job in scenario.jobs.values() for name in (*job.needs, *job.may_miss)}
        self.calls = Calls(self.upstreams, self.settings, names, world.side)
        self._events = {name: type(name, (Event,), {}) for name in scenario.jobs}
        self.clients = [QueueOfProcess(queue, VISIBILITY_SECONDS) for queue in world.queues]
        self.intake: Intake = join_intake(
            context, self._routes(), self._open_queues(), self._reading(), Idempotency(), None
        )
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Begin to work, as `Daemon.run` does."""
        loop = asyncio.get_running_loop()
        consumers = self.intake.consumers
        self._tasks = [
            *(loop.create_task(one.leases.run(), name="heartbeat") for one in consumers),
            *(loop.create_task(one.run(), name="consumer") for one in consumers),
            loop.create_task(self._watch(), name="watch"),
        ]

    async def stop(self) -> None:
        """Drain, as on SIGTERM; raise what a part of it failed of."""
        self.raise_failure()
        daemon = Daemon(self.intake, _NO_AWS, _NO_AWS, self.settings.sqs.drain_seconds)
        report = await daemon._let_finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if report.stranded:
            raise AssertionError(f"{report.stranded} messages stranded")

    def kill(self) -> list[str]:
        """End at once, as on SIGKILL; return the ids of the messages in flight."""
        self.raise_failure()
        held = [lease.message.id for one in self.intake.consumers for lease in one.leases]
        for client in self.clients:
            client.killed = True
        for one in self.intake.consumers:
            for task in (*one._tasks.values(), *one._pollers, *one.settlement.acks._calls):
                task.cancel()
        for task in self._tasks:
            task.cancel()
        return held

    def raise_failure(self) -> None:
        """Raise the error of a part that ended by itself."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended")

    def leaks(self) -> list[str]:
        """Return what a drained process still holds."""
        found = []
        for name, used in self.intake.permits.used.items():
            if used:
                found.append(f"{name}: {used} permits")
        for one in self.intake.consumers:
            gate = one.gate
            if len(one.leases) or gate.waiting or gate._chosen or gate._receiving:
                found.append(
                    f"{one.name}: {len(one.leases)} leases, {gate.waiting} at the gate, "
                    f"chosen {gate._chosen}, receiving {gate._receiving}"
                )
        found += [f"{job.name}: probe" for job in self.intake.delivery.jobs.values() if job.probing]
        if self.intake.delivery.running:
            found.append(f"{len(self.intake.delivery.running)} runs")
        return found

    async def _watch(self) -> None:
        """Sample what the daemon's watch does."""
        while True:
            for consumer, client in zip(self.intake.consumers, self.clients, strict=True):
                now = await client.attributes()
                consumer.gate.overfull = now.in_flight >= MAX_IN_FLIGHT
            await asyncio.sleep(SAMPLE_SECONDS)

    def _open_queues(self) -> list[OpenQueue]:
        found = []
        for queue, client in zip(self._world.queues, self.clients, strict=True):
            bound = not self._world.scenario.one_queue
            binding = QueueBinding(queue.url, queue.name, queue.jobs, bound)
            attributes = QueueAttributes(visibility_seconds=VISIBILITY_SECONDS, fifo=queue.fifo)
            found.append(OpenQueue(binding, client, attributes, VISIBILITY_SECONDS))
        return found

    def _reading(self) -> Reading:
        unrouted = Unrouted(
            dead_letter=False,
            jobs_of_type=lambda name: frozenset({name}),
            half_configured={},
            clock=asyncio.get_running_loop().time,
        )
        return Reading(self._world.message, self._events_of, unrouted)

    def _events_of(self, sent: Sent) -> tuple[Any, ...]:
        return (ForJob(sent.job, self._events[sent.job](sent)),)

    def _routes(self) -> Routes:
        return {
            name: Route(
                job=name,
                run=partial(self._handle, job),
                needs=frozenset(job.needs),
                may_miss=frozenset(job.may_miss),
                proof="sink",
            )
            for name, job in self._world.scenario.jobs.items()
        }

    async def _handle(self, job: Job, event: Event) -> Result:
        sent, world = event.sent, self._world
        sent.runs += 1
        if world.refusal(sent):
            await asyncio.sleep(REFUSAL_SECONDS)
        if refusal := world.refusal(sent):
            raise Permanent(refusal)
        for name in (*job.may_miss, *job.needs):
            if not (sent.light and name == "data_action"):
                await self.calls.ask(name, sent)
        world.done(sent)
        return Result.OK


def _settings(scenario: Scenario) -> Settings:
    budget = {"GENESYS_REQUESTS_PER_MINUTE": str(240 / scenario.replicas)}
    return load_settings(
        {
            "SQS_QUEUE_URL": "https://sqs.test/1/all",
            "SQS_DEAD_LETTER_QUEUE_URL": ("https://sqs.test/1/dead,https://sqs.test/1/dead.fifo"),
            "SQS_WAIT_SECONDS": "20",
            "GENESYS_CLIENT_ID": "id",
            "GENESYS_CLIENT_SECRET": "secret",
            "STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:111122223333:stateMachine:ended",
            **budget,
            **scenario.settings,
        }
    )


_NO_AWS: Any = None
