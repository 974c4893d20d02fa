"""kill -9 at random points of the work, again and again: nothing lost, nothing doubled."""

import asyncio
import signal
from random import Random

from tests.chaos.arena import Arena, open_arena
from tests.chaos.checker import dead_lettered_twice
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import Demo
from worker.demo.process import WorkerProcess
from worker.demo.scenario import jobs_of

LONGEST_LIFE_SECONDS = 2.0
LONGEST_START_SECONDS = 2.0
STOP_SECONDS = 40


async def play(seed: int, sizes: Sizes) -> Findings:
    """Kill a worker over mixed events of all jobs; odd seeds have an idempotency table."""
    async with open_arena(seed) as arena:
        jobs = jobs_of(sizes.events, seed)
        for job in jobs:
            job.prepare(arena.emulators)
        idempotency_table = await arena.make_idempotency_table() if seed % 2 else {}
        worker = await arena.worker(**idempotency_table)
        await _lives(arena, worker, jobs, sizes.kills)
        await worker.start()
        settled = await arena.settled(120 + sizes.events / 10)
        arena.send(message for job in jobs for message in job.late_duplicates())
        settled = settled and await arena.settled(60 + sizes.events / 20)
        worker.signal(signal.SIGTERM)
        code = await worker.wait(STOP_SECONDS)
        await _check_outcome(arena, jobs)
        arena.findings.expect(settled, "the queue is empty at the end")
        arena.findings.expect(code == 0, "the last worker ends with 0", code)
        arena.findings.figures |= {"kills": sizes.kills, "idempotency": bool(idempotency_table)}
        return arena.findings


async def _lives(arena: Arena, worker: WorkerProcess, jobs: list[Demo], kills: int) -> None:
    planned = [message for job in jobs for message in job.traffic()]
    arena.random.shuffle(planned)
    share = len(planned) // kills + 1
    for number in range(kills):
        arena.send(planned[number * share : (number + 1) * share])
        await _life(worker, arena.random)


async def _life(worker: WorkerProcess, random: Random) -> None:
    """Start and kill: one in five while it still starts, the others at work."""
    ready = random.random() >= 0.2
    await worker.start(until_ready=ready)
    longest = LONGEST_LIFE_SECONDS if ready else LONGEST_START_SECONDS
    await asyncio.sleep(random.uniform(0.02, longest))
    worker.signal(signal.SIGKILL)
    await worker.wait(5)


async def _check_outcome(arena: Arena, jobs: list[Demo]) -> None:
    history, findings = arena.check(), arena.findings
    for effects in [effects for job in jobs for effects in await job.effects(arena.emulators)]:
        if effects.sink != "dead letters with reason":  # a kill may leave two copies
            detail = f"{effects.found} of {effects.expected} {list(effects.wrong)[:3]}"
            findings.expect(effects.right, f"{effects.sink}, each once", detail)
    receives = arena.receives()
    findings.figures |= {
        "messages": len(history.sent),
        "effects": len(history.effects),
        "dead letters": len(history.dead_lettered),
        "dead letters twice": len(dead_lettered_twice(history)),
        "received more than once": sum(times > 1 for times in receives.values()),
        "most receives": max(receives.values()),
    }
