"""Runs the demo: emulators up, the real worker as a process, traffic, faults, proof."""

import asyncio
import itertools
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from rich.console import Console

from worker.app.jobs import known_jobs, named
from worker.demo.environment import Environment, Queues, open_environment
from worker.demo.fixtures import make_fixtures
from worker.demo.process import WorkerProcess
from worker.demo.progress import Progress, SentMessages, print_results
from worker.demo.traffic import Effects, Fault, InvalidTraffic, Job, Planned

QUIET_SECONDS = 180
"""Longest time for all messages to be settled."""

STOP_SECONDS = 40


def jobs_of(events: int, seed: int) -> list[Job]:
    """Return the jobs that share that many events among them."""
    random = Random(seed)  # noqa: S311  reproducible traffic
    declared = [(job.demo, job.name) for job in known_jobs().values() if job.demo]
    jobs: list[Job] = [named(place, name)(events, random) for place, name in declared]
    return [*jobs, InvalidTraffic(max(5, events // 20))]


async def prepare(jobs: Sequence[Job], environment: Environment) -> None:
    """Let all jobs fill the emulators."""
    for job in jobs:
        if (filling := job.prepare(environment)) is not None:
            await filling


async def run_demo(*, events: int, serve: bool, seed: int, queues: Queues) -> int:
    """Run the demo and return its exit code: 0 only if every effect is there exactly once.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that it leaves no worker behind.
    """
    demo = asyncio.ensure_future(_demo(events=events, serve=serve, seed=seed, queues=queues))
    ended_by: list[int] = []

    def end(number: int) -> None:
        ended_by.append(number)
        demo.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await demo
    except asyncio.CancelledError:
        if not ended_by:
            raise
        return 128 + ended_by[0]


async def _demo(*, events: int, serve: bool, seed: int, queues: Queues) -> int:
    console = Console()
    jobs = jobs_of(events, seed)
    with tempfile.TemporaryDirectory(prefix="worker-demo-") as folder:
        async with open_environment(queues=queues) as environment:
            await make_fixtures(environment)
            await prepare(jobs, environment)
            log = Path(folder) / "worker.log"
            # A group of its own: else Ctrl-C is the worker's first signal, and ours its second.
            async with WorkerProcess(environment.variables(), log, process_group=0) as worker:
                scenario = Scenario(environment, worker, Random(seed))  # noqa: S311  reproducible traffic
                console.print(f"worker ready: {worker.url}/status · {worker.url}/metrics")
                sent = await scenario.run(jobs, console)
                effects = [found for job in jobs for found in await job.effects(environment)]
                unsettled = sent.unsettled()  # before others are sent: those are not judged
                if serve:
                    print_results(console, sent, effects, environment)
                    await _serve(scenario, events, console)
                effects.append(
                    Effects("clean exits of the worker", 1, int(await scenario.stop() == 0))
                )
                print_results(console, sent, effects, environment)
    return 0 if all(found.right for found in effects) and not unsettled else 1


async def _serve(scenario: "Scenario", events: int, console: Console) -> None:
    """Send new traffic until Ctrl-C."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    console.print("serving; Ctrl-C ends it")
    for seed in itertools.count(1000):
        jobs = jobs_of(events, seed)
        await prepare(jobs, scenario.environment)
        traffic = asyncio.create_task(scenario.run(jobs, console))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({traffic, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            traffic.cancel()
            await asyncio.wait({traffic})
            return


class Scenario:
    """Traffic and faults in an environment."""

    def __init__(self, environment: Environment, worker: WorkerProcess, random: Random) -> None:
        self.environment = environment
        self._worker = worker
        self._random = random

    async def run(self, jobs: Sequence[Job], console: Console) -> SentMessages:
        """Send everything, with faults on the way, and wait until all of it is settled."""
        sent = SentMessages(self.environment)
        planned = [message for job in jobs for message in job.traffic()]
        self._random.shuffle(planned)
        faults = [fault for job in jobs for fault in job.faults()]
        with Progress(console, sent, self._worker) as progress:
            async with asyncio.TaskGroup() as side:
                watching = side.create_task(progress.run())
                await self._send_with(planned, faults, sent, progress)
                for job in jobs:
                    self._send(job.late_duplicates(), sent)
                await self._settled(sent)
                sent.settled()
                watching.cancel()
        return sent

    async def stop(self) -> int:
        """End the worker as an orchestrator does, and return its exit code."""
        self._worker.signal(signal.SIGTERM)
        return await self._worker.wait(STOP_SECONDS)

    async def _send_with(
        self,
        planned: list[Planned],
        faults: list[Fault],
        sent: SentMessages,
        progress: Progress,
    ) -> None:
        """Send in as many parts as there are faults and one more, each under its fault."""
        share = len(planned) // (len(faults) + 1) + 1
        for number, fault in enumerate([None, *faults]):
            if fault:
                fault.begin(self.environment)
                progress.fault = fault.name
            self._send(planned[number * share : (number + 1) * share], sent)
            if fault:
                await asyncio.sleep(fault.seconds)
                fault.end(self.environment)
                progress.fault = ""
            await self._settled(sent)

    def _send(self, planned: Sequence[Planned], sent: SentMessages) -> None:
        for message in planned:
            sent.send(message)

    async def _settled(self, sent: SentMessages) -> None:
        await self.environment.sqs.wait_until(lambda: sent.unsettled() == 0, QUIET_SECONDS)
