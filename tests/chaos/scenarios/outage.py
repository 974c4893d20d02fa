"""All upstreams but AWS down for twenty scaled minutes: no dead letter, hardly a receive.

Each job has a queue of its own, as in production: on a shared one a message of a blocked job is
sent back instead of kept, and may be received thirty times in six hours.
"""

import asyncio
import time
from collections.abc import Mapping

from tests.chaos.arena import Arena, figures_of, open_arena, shortened
from tests.chaos.checker import History
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import Demo
from worker.demo.process import WorkerProcess
from worker.demo.scenario import jobs_of
from worker.intake.queue import ASIDE_PER_PERMIT
from worker.intake.settlement import BLOCKED_SECONDS, SPREAD

BOUND_RECEIVES = 2
"""Of a message in an hour, on a queue of one job (SPEC.md 5, P14): what is in flight waits at the
gate, or beside it; one that probed in vain three times goes back once, for others to probe."""

MISSING = ("voice", "attributes")
"""Jobs that may miss upstreams that are down here (`worker/jobs/*/__init__.py`)."""

PERMITS = 64
"""SQS_CONCURRENCY, by default."""

FEW_MESSAGES = 2
"""On a queue with so few, no other probes: they come as often as they are sent back (P14)."""

MAX_RECEIVES = 5
"""Of the queues' redrive policy: above every limit here, far below the fifty of deploy/."""

LONGEST_PAUSE_SECONDS = 60
"""Of a breaker; divided by the scale."""

RECOVERY_SECONDS = 30
"""After the longest pause of a breaker."""

HOOKS = ("analytics", "crm", "alert", "report")


async def play(seed: int, sizes: Sizes) -> Findings:
    """Take Genesys, the CRM and all webhooks down, with queues that redrive at five receives."""
    async with open_arena(seed, queues="per-job", max_receives=MAX_RECEIVES) as arena:
        jobs = [
            job
            for job in jobs_of(sizes.events // 3, seed)
            if type(job).__name__ != "InvalidTraffic"
        ]
        for job in jobs:
            job.prepare(arena.emulators)
        scale = sizes.outage_scale
        worker = await arena.worker(SQS_CONCURRENCY=PERMITS, **shortened(scale))
        await worker.start()
        _cut(arena)
        arena.send(message for job in jobs for message in job.traffic())
        await asyncio.sleep(sizes.outage_seconds)
        asked, in_outage = arena.tap.refused, arena.receives()
        arena.findings.expect(not arena.dead_letters(), "nothing is dead-lettered in an outage")
        arena.tap.cuts.clear()
        arena.emulators.crm.status = 200
        await _recover(arena, worker, jobs, sizes)
        arena.findings.figures |= {
            "outage s": sizes.outage_seconds,
            "stands for minutes": round(sizes.outage_seconds * scale / 60, 1),
            "requests meanwhile": asked,
            "messages received meanwhile": sum(times > 0 for times in in_outage.values()),
        }
        return arena.findings


def _cut(arena: Arena) -> None:
    arena.emulators.crm.status = 503
    for upstream in ("genesys", *HOOKS):
        arena.tap.cuts[upstream] = lambda _: 503


async def _recover(arena: Arena, worker: WorkerProcess, jobs: list[Demo], sizes: Sizes) -> None:
    healed_at, findings = time.time(), arena.findings
    felt = sizes.outage_seconds + LONGEST_PAUSE_SECONDS / sizes.outage_scale
    at_once = LONGEST_PAUSE_SECONDS / sizes.outage_scale + RECOVERY_SECONDS + sizes.events / 10
    settled = await arena.settled(at_once + _longest_hidden(felt))
    findings.expect(settled, "all is done after the outage")
    history = arena.check()
    limits = _limits(arena, felt)
    for job, limit in limits.items():
        arena.expect_receives(limit, job)
    findings.none_of(_late(arena, history, healed_at + at_once), "waited in flight, and done late")
    findings.expect(not arena.dead_letters(), "nothing is dead-lettered after the outage")
    # A chat that Genesys does not let mark, as its breaker is still open, is not marked later.
    await arena.expect_effects(jobs, await figures_of(worker))
    first = min((effect.time for effect in history.effects), default=healed_at)
    last = max(history.deleted_at.values(), default=healed_at)
    findings.figures |= {
        "messages": {job: len(arena.receives(job)) for job in limits},
        "most receives": {job: max(arena.receives(job).values()) for job in limits},
        "receives allowed": dict(limits),
        "first effect after s": round(first - healed_at, 1),
        "all done after s": round(last - healed_at, 1),
    }


def _limits(arena: Arena, felt: float) -> Mapping[str, int]:
    """Return how often a message of each job may be received, by the rules of the intake.

    Down for workflow (analytics), sentiment (its sources, the CRM webhook) and reports (analytics)
    is what they need: their gates close. Voice needs DynamoDB alone, which is up, and may miss the
    rest: its gate stays open, and all is received at once. Attributes need conversations, and may
    miss the CRM and the flow's schema: a probe of theirs gets no further than these. Beside the
    gates of both, only so many wait in flight; what comes beyond them is hidden.
    """
    limits = {}
    for job in arena.emulators.job_queues:
        messages = len(arena.receives(job))
        hidden = job in MISSING and messages > ASIDE_PER_PERMIT * PERMITS
        few = messages <= FEW_MESSAGES
        limits[job] = _receives_if_hidden(felt) if hidden or few else BOUND_RECEIVES
    return limits


def _receives_if_hidden(felt: float) -> int:
    """Return the most receives of a message that is hidden for as long as it has waited, each time.

    `felt`: seconds of the outage, until the breakers have noticed its end. These times are the
    intake's own: no setting shortens them.
    """
    shortest, longest = BLOCKED_SECONDS
    age, receives = 0.0, 1
    while age <= felt:
        age += max(shortest, SPREAD[0] * min(longest, age))
        receives += 1
    return max(BOUND_RECEIVES, receives)


def _longest_hidden(felt: float) -> float:
    """Return for how long a message may be hidden that was sent back last as the outage ended."""
    shortest, longest = BLOCKED_SECONDS
    return min(longest, max(shortest / SPREAD[0], felt))


def _late(arena: Arena, history: History, due: float) -> list[str]:
    """Return what was never sent back, and yet done late: the gate opened, and it did not go on."""
    once = (key for key, times in arena.receives().items() if times == 1)
    return [key for key in once if history.deleted_at.get(key, due) > due]
