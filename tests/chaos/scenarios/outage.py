"""Everything down for twenty scaled minutes: no dead letter, hardly a receive."""

import asyncio
import time

from tests.chaos.arena import Arena, open_arena, shortened
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo.plan import Job
from worker.demo.scenario import jobs_of

MAX_RECEIVES = 5
RECEIVES_ALLOWED = 2
RECOVERY_SECONDS = 30
"""After the longest pause of a breaker."""

HOOKS = ("analytics", "crm", "alert", "report")


async def play(seed: int, sizes: Sizes) -> Findings:
    """Take Genesys, the CRM and all webhooks down, with a queue that redrives at five receives."""
    async with open_arena(seed, max_receives=MAX_RECEIVES) as arena:
        jobs = [job for job in jobs_of(sizes.events // 3, seed) if type(job).__name__ != "Noise"]
        for job in jobs:
            job.prepare(arena.stage)
        scale = sizes.outage_scale
        worker = await arena.worker(**shortened(scale))
        await worker.start()
        _cut(arena)
        arena.send(message for job in jobs for message in job.traffic())
        await asyncio.sleep(sizes.outage_seconds)
        asked, in_outage = arena.tap.refused, arena.receives()
        arena.findings.expect(not arena.dead_letters(), "nothing is parked in an outage")
        arena.tap.cuts.clear()
        arena.stage.crm.status = 200
        await _recover(arena, jobs, 60 / scale + RECOVERY_SECONDS + sizes.events / 10)
        arena.findings.figures |= {
            "outage s": sizes.outage_seconds,
            "stands for minutes": round(sizes.outage_seconds * scale / 60, 1),
            "requests meanwhile": asked,
            "messages received meanwhile": sum(times > 0 for times in in_outage.values()),
        }
        return arena.findings


def _cut(arena: Arena) -> None:
    arena.stage.crm.status = 503
    for upstream in ("genesys", *HOOKS):
        arena.tap.cuts[upstream] = lambda _: 503


async def _recover(arena: Arena, jobs: list[Job], seconds: float) -> None:
    healed_at, findings = time.time(), arena.findings
    findings.expect(await arena.settled(seconds), "all is done after the outage")
    history = arena.check()
    arena.expect_receives(RECEIVES_ALLOWED)
    findings.expect(not arena.dead_letters(), "nothing is parked after the outage")
    await arena.expect_effects(jobs)
    first = min((effect.time for effect in history.effects), default=healed_at)
    last = max(history.deleted_at.values(), default=healed_at)
    findings.figures |= {
        "messages": len(history.sent),
        "most receives": max(arena.receives().values()),
        "first effect after s": round(first - healed_at, 1),
        "all done after s": round(last - healed_at, 1),
    }
