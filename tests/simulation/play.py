"""Plays a scenario in virtual time and returns its figures."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from tests.simulation.clock import simulate
from tests.simulation.process import Process, World
from tests.simulation.scenario import Scenario, Traffic
from tests.simulation.sqs import Sent, SimulatedQueue
from tests.simulation.upstreams import OtherSide
from worker.telemetry import metrics

FAULTY = "faulty"
KNOWN_SECONDS = 60.0
"""After so long a fault is known: what came before has met it by itself."""


@dataclass(slots=True)
class JobFigures:
    """What became of the messages of one job. Seconds from sent to done."""

    job: str
    sent: int
    done: int
    dead: Counter[str]
    median: float
    p99: float
    longest: float
    most_receives: int
    receives_once_known: int
    """Most receives of a message sent when the fault was known."""

    receives: int
    runs: int
    first_back: float | None
    """Seconds after the end of the fault at which the first of its backlog was done."""

    last_back: float | None

    @property
    def undone(self) -> int:
        """Neither done nor dead."""
        return self.sent - self.done - self.dead.total()


@dataclass(slots=True)
class Figures:
    """What came of a scenario."""

    scenario: Scenario
    jobs: dict[str, JobFigures]
    opens: dict[str, int]
    receives: int
    messages: int
    done_twice: int
    over_limit: int
    leaks: list[str]
    cpu_seconds: float
    problems: list[str] = field(default_factory=list)


def play(scenario: Scenario) -> Figures:
    """Play it and hold it to what it expects."""
    began, before = time.process_time(), _opens()
    theatre = simulate(lambda: _Theatre.play(scenario))
    figures = theatre.figures()
    figures.opens = {name: n for name, n in ((k, v - before[k]) for k, v in _opens().items()) if n}
    figures.cpu_seconds = time.process_time() - began
    figures.problems = list(_problems(figures))
    return figures


class _Theatre:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed)
        self.loop = asyncio.get_running_loop()
        jobs = scenario.jobs
        names = [("all", tuple(jobs))] if scenario.one_queue else [(job, (job,)) for job in jobs]
        self.queues = [
            SimulatedQueue(name, bound, self.random, fifo=scenario.fifo) for name, bound in names
        ]
        self.queue_of = {job: queue for queue in self.queues for job in queue.jobs}
        self.sent: list[Sent] = []
        self.done_twice = 0
        self.killed: set[str] = set()
        self.leaks: list[str] = []
        side = OtherSide(scenario.faults, scenario.latency, scenario.timeout, self.random)
        self.world = World(
            scenario,
            self.queues,
            side,
            lambda body: self.sent[int(body)],
            self._done,
            self._refusal,
        )
        self.processes: list[Process] = []
        self.ghosts: list[Process] = []

    @classmethod
    async def play(cls, scenario: Scenario) -> "_Theatre":
        theatre = cls(scenario)
        theatre._start()
        tasks = [asyncio.create_task(theatre._send(one)) for one in scenario.traffic]
        tasks.append(asyncio.create_task(theatre._restart()))
        await asyncio.sleep(scenario.seconds)
        for task in tasks:
            task.cancel()
        theatre.frozen = theatre._figures()
        await theatre._drain()
        return theatre

    def figures(self) -> Figures:
        self.frozen.leaks = self.leaks
        return self.frozen

    def _start(self) -> None:
        for _ in range(self.scenario.replicas):
            process = Process(self.world, self.random.randrange(2**32))
            process.start()
            self.processes.append(process)

    async def _drain(self) -> None:
        old, self.processes = self.processes, []
        await asyncio.gather(*(one.stop() for one in old))
        self.leaks += [leak for one in old for leak in one.leaks()]

    async def _restart(self) -> None:
        for restart in sorted(self.scenario.restarts, key=lambda one: one.at):
            await asyncio.sleep(restart.at - self.loop.time())
            if restart.kill:
                for process in self.processes:
                    self.killed.update(process.kill())
                # Kept: what waits for ever is collected else, and asyncio complains.
                self.ghosts += self.processes
                self.processes = []
                self._start()
            else:  # the new ones are there before the old ones have gone
                old, self.processes = self.processes, []
                self._start()
                await asyncio.gather(*(one.stop() for one in old))
                self.leaks += [leak for one in old for leak in one.leaks()]

    async def _send(self, traffic: Traffic) -> None:
        await asyncio.sleep(traffic.start)
        if traffic.count:
            for _ in range(traffic.count):
                self._put(traffic)
                if traffic.every:
                    await asyncio.sleep(traffic.every)
            return
        while True:
            await asyncio.sleep(self.random.expovariate(traffic.per_second))
            if self.loop.time() >= traffic.end:
                return
            self._put(traffic)

    def _put(self, traffic: Traffic) -> None:
        draw = self.random.random
        sent = Sent(
            len(self.sent),
            traffic.job,
            self.loop.time(),
            fault=traffic.fault if traffic.fault and draw() < traffic.faulty else "",
            light=bool(traffic.light) and draw() < traffic.light,
            group=f"g{self.random.randrange(traffic.groups)}" if traffic.groups else "",
        )
        self.sent.append(sent)
        self.queue_of[traffic.job].put(sent)

    def _done(self, sent: Sent) -> None:
        if sent.done is not None:
            self.done_twice += str(sent.number) not in self.killed
            return
        sent.done = self.loop.time()

    def _refusal(self, sent: Sent) -> str:
        now = self.loop.time()
        if any(bug.job == sent.job and bug.start <= now < bug.end for bug in self.scenario.bugs):
            return "bug"
        return sent.fault if sent.fault.startswith("cause") else ""

    def _figures(self) -> Figures:
        groups: dict[str, list[Sent]] = {}
        for sent in self.sent:
            groups.setdefault(FAULTY if sent.fault else sent.job, []).append(sent)
        return Figures(
            self.scenario,
            {name: self._of_job(name, some) for name, some in groups.items()},
            {},
            receives=sum(queue.receives for queue in self.queues),
            messages=len(self.sent),
            done_twice=self.done_twice,
            over_limit=sum(queue.over_limit for queue in self.queues),
            leaks=[],
            cpu_seconds=0.0,
        )

    def _of_job(self, name: str, some: list[Sent]) -> JobFigures:
        done = [sent for sent in some if sent.done is not None and not sent.dead]
        waits = sorted(sent.done - sent.sent for sent in done)
        end = self.scenario.fault_ends
        back = [
            sent.done - end for sent in done if end is not None and sent.sent < end <= sent.done
        ]
        known = min((one.start for one in self.scenario.faults), default=0.0) + KNOWN_SECONDS
        return JobFigures(
            name,
            len(some),
            len(done),
            Counter(sent.dead for sent in some if sent.dead),
            _share(waits, 0.5),
            _share(waits, 0.99),
            _share(waits, 1.0),
            max(sent.receives for sent in some),
            max((sent.receives for sent in some if sent.sent >= known), default=0),
            sum(sent.receives for sent in some),
            sum(sent.runs for sent in some),
            min(back, default=None),
            max(back, default=None),
        )


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _opens() -> Counter[str]:
    [family] = metrics.breaker_transitions.collect()
    return Counter(
        {
            sample.labels["dependency"]: int(sample.value)
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["to"] == "open"
        }
    )


def _problems(figures: Figures) -> Iterable[str]:
    yield from (f"leak: {leak}" for leak in figures.leaks)
    if figures.done_twice:
        yield f"{figures.done_twice} messages done twice"
    for expected in figures.scenario.expect:
        job = figures.jobs.get(expected.job)
        if job is None:
            yield f"{expected.job}: nothing was sent"
            continue
        each = job.receives / job.sent
        limits = (
            ("undone", job.undone, expected.undone),
            ("dead", job.dead.total(), expected.dead),
            ("longest wait", job.longest, expected.longest),
            ("median wait", job.median, expected.median),
            ("most receives", job.most_receives, expected.most_receives),
            ("receives once known", job.receives_once_known, expected.receives_once_known),
            ("receives each", each, expected.receives_each),
            ("runs each", job.runs / job.sent, expected.runs_each),
            ("first back after", job.first_back or 0.0, expected.back_within),
        )
        for what, figure, limit in limits:
            if limit is not None and figure > limit:
                yield f"{expected.job}: {what} {figure:.3g}, at most {limit:g}"
        if job.done < expected.done:
            yield f"{expected.job}: done {job.done}, at least {expected.done}"
