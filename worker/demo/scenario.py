"""Runs the demo: emulators up, the real worker as a process, traffic, faults, proof."""

import asyncio
import io
import itertools
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from rich.console import Console

from worker.app.jobs import known_jobs, named
from worker.demo import Demo, Effects, Fault, InvalidTraffic, Planned
from worker.demo.environment import (
    REPORT_BUCKET,
    Environment,
    Queues,
    make_fixtures,
    open_environment,
)
from worker.demo.process import WorkerProcess
from worker.demo.progress import (
    FaultRecord,
    Progress,
    SentMessages,
    effects_table,
    print_results,
)

QUIET_SECONDS = 180
"""Longest time for all messages to be settled."""

STOP_SECONDS = 40


def jobs_of(events: int, seed: int) -> list[Demo]:
    """Return the jobs that share that many events among them."""
    random = Random(seed)  # noqa: S311  reproducible traffic
    declared = [(job.demo, job.name) for job in known_jobs().values() if job.demo]
    jobs: list[Demo] = [named(place, name)(events, random) for place, name in declared]
    return [*jobs, InvalidTraffic(max(5, events // 20))]


async def prepare(jobs: Sequence[Demo], environment: Environment) -> None:
    """Let all jobs fill the emulators."""
    for job in jobs:
        if (filling := job.prepare(environment)) is not None:
            await filling


async def run_demo(
    *, events: int, serve: bool, seed: int, queues: Queues, keep: Path | None = None
) -> int:
    """Run the demo and return its exit code: 0 only if every effect is there exactly once.

    `keep`: a folder for the worker's log, the report and the final tables as a page.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that it leaves no worker behind.
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="worker-demo-"))
    run = _Demo(events, seed, queues, folder=folder, keeps=keep is not None)
    demo = asyncio.ensure_future(run.run(serve=serve))
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
    finally:
        if not run.keeps:
            shutil.rmtree(folder)


class _Demo:
    def __init__(
        self, events: int, seed: int, queues: Queues, *, folder: Path, keeps: bool
    ) -> None:
        self._events = events
        self._seed = seed
        self._queues: Queues = queues
        self._folder = folder
        self.keeps = keeps
        """Whether its folder is left: asked for, or something was wrong."""

        self._console = Console()

    async def run(self, *, serve: bool) -> int:
        jobs = jobs_of(self._events, self._seed)
        async with open_environment(queues=self._queues) as environment:
            await make_fixtures(environment)
            await prepare(jobs, environment)
            log = self._folder / "worker.log"
            log.unlink(missing_ok=True)  # of a demo before, in a folder that was kept
            # A group of its own: else Ctrl-C is the worker's first signal, and ours its second.
            async with WorkerProcess(environment.variables(), log, process_group=0) as worker:
                random = Random(self._seed)  # noqa: S311  reproducible traffic
                scenario = Scenario(environment, worker, random)
                self._print(f"worker ready: {worker.url}/status · {worker.url}/metrics")
                sent = await scenario.run(jobs, self._console)
                effects = [found for job in jobs for found in await job.effects(environment)]
                unsettled = sent.unsettled()  # before others are sent: those are not judged
                if not serve:
                    effects.append(await _ended(scenario))
                await self._show(sent, effects, environment, worker)
                if serve:
                    effects.append(await self._serve(scenario, worker.url))
        return 0 if all(found.right for found in effects) and not unsettled else 1

    async def _show(
        self,
        sent: SentMessages,
        effects: Sequence[Effects],
        environment: Environment,
        worker: WorkerProcess,
    ) -> None:
        """Print the results, and keep what is to be kept of them."""
        results = (sent, effects, environment, worker.lines())
        print_results(self._console, *results)
        self.keeps = self.keeps or not all(found.right for found in effects)
        if not self.keeps:
            self._print("--keep DIR leaves the worker's log, the report and these tables")
            return
        page = Console(record=True, file=io.StringIO(), width=120)
        print_results(page, *results)
        page.save_html(str(self._folder / "results.html"), inline_styles=True)
        reports = await save_reports(environment, self._folder)
        for path in (*reports, self._folder / "results.html", worker.log):
            self._print(f"kept: {path}")

    async def _serve(self, scenario: "Scenario", worker_url: str) -> Effects:
        """Send new traffic until Ctrl-C, beside a console; return whether the worker ended well."""
        before, began = scenario.sent, time.monotonic()
        async with self._console_of(scenario.environment, worker_url) as console:
            self._print(f"console: {console.url}/ (it may redrive and delete)")
            await self._send_on(scenario)
        ended = await _ended(scenario)
        count, left = scenario.sent - before, scenario.environment.waiting()
        minutes = (time.monotonic() - began) / 60
        self._print(f"messages served: {count} in {minutes:.1f} min; {left} left on the queues")
        self._console.print(effects_table([ended]))
        return ended

    def _console_of(self, environment: Environment, worker_url: str) -> WorkerProcess:
        variables = {**environment.variables(), "OPS_PORT": str(urlsplit(worker_url).port)}
        log = self._folder / "console.log"
        log.unlink(missing_ok=True)
        program = ("-m", "worker", "console", "--allow-changes", "--port", "0")
        return WorkerProcess(variables, log, program, process_group=0, until_ready=False)

    async def _send_on(self, scenario: "Scenario") -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        for url in report_pages(scenario.environment):
            self._print(f"report: {url}")
        self._print("serving; Ctrl-C ends it")
        for seed in itertools.count(1000):
            jobs = jobs_of(self._events, seed)
            await prepare(jobs, scenario.environment)
            traffic = asyncio.create_task(scenario.run(jobs, self._console))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({traffic, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if stop.is_set():
                traffic.cancel()
                await asyncio.wait({traffic})
                return

    def _print(self, line: str) -> None:
        # Whole: a folder or an address that is broken in two cannot be opened.
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)


async def _ended(scenario: "Scenario") -> Effects:
    return Effects("clean exits of the worker", 1, int(await scenario.stop() == 0))


def report_pages(environment: Environment) -> list[str]:
    """Return the addresses of the reports' pages, as their webhook received them."""
    files = [one for hook in environment.sinks["report"].taken for one in hook.body["files"]]
    return sorted({one["url"] for one in files if one["key"].endswith(".html")})


async def save_reports(environment: Environment, folder: Path) -> list[Path]:
    """Copy the reports out of the bucket; return the pages among them."""
    pages = []
    async with environment.aws("s3") as s3:
        listed = await s3.list_objects_v2(Bucket=REPORT_BUCKET)
        for one in listed.get("Contents", ()):
            path = folder / one["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            stored = await s3.get_object(Bucket=REPORT_BUCKET, Key=one["Key"])
            path.write_bytes(await stored["Body"].read())
            pages += [path] * (path.suffix == ".html")
    return pages


class Scenario:
    """Traffic and faults in an environment."""

    def __init__(self, environment: Environment, worker: WorkerProcess, random: Random) -> None:
        self.environment = environment
        self.sent = 0
        """Messages so far, of all runs."""

        self._worker = worker
        self._random = random

    async def run(self, jobs: Sequence[Demo], console: Console) -> SentMessages:
        """Send everything, with faults on the way, and wait until all of it is settled."""
        sent = SentMessages(self.environment)
        planned = [message for job in jobs for message in job.traffic()]
        late = [message for job in jobs for message in job.late_duplicates()]
        self._random.shuffle(planned)
        faults = [fault for job in jobs for fault in job.faults()]
        with Progress(console, sent, self._worker, self._count([*planned, *late])) as progress:
            async with asyncio.TaskGroup() as side:
                watching = side.create_task(progress.run())
                await self._send_with(planned, faults, sent, progress)
                self._send(late, sent)
                await self._settled(sent)
                sent.settled()
                watching.cancel()
        return sent

    async def stop(self) -> int:
        """End the worker as an orchestrator does, and return its exit code."""
        self._worker.signal(signal.SIGTERM)
        return await self._worker.wait(STOP_SECONDS)

    def _count(self, planned: Sequence[Planned]) -> int:
        """Return how many messages these are on all queues."""
        return sum(len(self.environment.urls_of(one.body, one.queue_of)) for one in planned)

    async def _send_with(
        self,
        planned: list[Planned],
        faults: list[Fault],
        sent: SentMessages,
        progress: Progress,
    ) -> None:
        """Send in as many parts as there are faults and one more, each under its fault."""
        share = len(planned) // (len(faults) + 1) + 1
        self._send(planned[:share], sent)
        await self._settled(sent)
        for number, fault in enumerate(faults, 1):
            began_at = time.time()
            fault.begin(self.environment)
            progress.fault = fault.name
            self._send(planned[number * share : (number + 1) * share], sent)
            await asyncio.sleep(fault.seconds)
            fault.end(self.environment)
            progress.fault, ended_at = "", time.time()
            if fault.repair is not None:
                await fault.repair(self.environment)
            await self._settled(sent)
            sent.faults.append(FaultRecord(fault.name, began_at, ended_at, time.time()))

    def _send(self, planned: Sequence[Planned], sent: SentMessages) -> None:
        before = len(sent)
        for message in planned:
            sent.send(message)
        self.sent += len(sent) - before

    async def _settled(self, sent: SentMessages) -> None:
        await self.environment.sqs.wait_until(lambda: sent.unsettled() == 0, QUIET_SECONDS)
