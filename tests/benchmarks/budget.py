"""Requests to Genesys for each job, over a queue that is full when the worker starts.

The real worker on the demo's emulators, a job at a time. The conversation workflow runs within the
platform's budget, for which it gathers lookups; the others cost the same whatever the budget, and
get one that is not waited for.
"""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.benchmarks.findings import Claim, Findings, Spread, Table
from tests.benchmarks.size import Size
from worker.demo import Demo
from worker.demo.environment import Environment, make_fixtures, open_environment
from worker.demo.process import WorkerProcess
from worker.jobs.attributes.demo import AttributesJob
from worker.jobs.reports.demo import ReportJob
from worker.jobs.voice.demo import VoiceJob
from worker.jobs.workflow.demo import EndedJob

PLATFORM_PER_MINUTE = 300
OUR_PER_MINUTE = 240
AMPLE_PER_MINUTE = 120_000
NOT_THE_API = ("token", "transcript_file")
"""Token host and file store have budgets of their own."""

LONGEST_SECONDS = 240
STOP_SECONDS = 40
QUICK_SHARE = 0.25
WORKFLOW = "workflow"


@dataclass(frozen=True, slots=True)
class Trial:
    """One job, and how many events it gets."""

    handler: str
    events: int
    job: Callable[[int], Demo]
    within_budget: bool = False


TRIALS = (
    Trial("voice", 200, lambda n: VoiceJob(n, Random(1))),
    Trial(WORKFLOW, 600, lambda n: EndedJob(n, 0, Random(1)), within_budget=True),
    Trial("attributes", 200, lambda n: AttributesJob(n, Random(1))),
    Trial("sentiment", 200, lambda n: EndedJob(0, n, Random(1))),
    Trial("reports", 1, lambda _: ReportJob(Random(1))),
)


async def measure(size: Size) -> Findings:
    """Run each job once: what is counted here does not scatter."""
    requests = {}
    async with open_environment() as emulators:
        await make_fixtures(emulators)
        for trial in TRIALS:
            events = max(1, int(trial.events * (QUICK_SHARE if size.quick else 1)))
            counted = await requests_of(trial, events, emulators, size.work)
            requests[trial.handler] = (events, counted)
    return reported(requests)


async def requests_of(trial: Trial, events: int, emulators: Environment, work: Path) -> int:
    """Return the requests that so many events took. Raises TimeoutError if they take too long."""
    job = trial.job(events)
    job.prepare(emulators)
    for planned in job.traffic()[:events]:  # copies of events come after the events themselves
        emulators.sqs.send(emulators.queue_url, planned.body)
    cloud = emulators.genesys
    cloud.requests_per_minute = PLATFORM_PER_MINUTE if trial.within_budget else None
    cloud.counts.clear()
    budget = OUR_PER_MINUTE if trial.within_budget else AMPLE_PER_MINUTE
    settings = {"HANDLERS": trial.handler, "GENESYS_REQUESTS_PER_MINUTE": str(budget)}
    async with WorkerProcess(emulators.variables() | settings, work / "budget.log") as worker:
        await emulators.sqs.wait_until(
            lambda: not emulators.sqs.messages(emulators.queue_url), LONGEST_SECONDS
        )
        # Not killed: the poll it leaves behind would take messages of the next job, and hide them.
        worker.signal(signal.SIGTERM)
        await worker.wait(STOP_SECONDS)
    return sum(count for name, count in cloud.counts.items() if name not in NOT_THE_API)


def reported(requests: dict[str, tuple[int, int]]) -> Findings:
    """Return table and claim; `requests`: events and requests by handler."""
    rows: Sequence[Sequence[str | float]] = [
        [
            handler,
            events,
            count,
            round(count / events, 3),
            round(events / count, 2),
            round(OUR_PER_MINUTE * events / count),
        ]
        for handler, (events, count) in requests.items()
    ]
    columns = [
        "handler",
        "events",
        "requests",
        "requests an event",
        "events a request",
        f"events a minute at {OUR_PER_MINUTE} requests",
    ]
    notes = ["A report is one event: here of 1,200 conversations, a hundred a page."]
    table = Table("budget", "Genesys requests under backlog", columns, rows, notes)
    events, count = requests[WORKFLOW]
    text = "conversations that ended, per Genesys request"
    return Findings([table], claims=[Claim(text, Spread([events / count]), 20, at_least=True)])
