"""DynamoDB has too little capacity for a minute: no dead letter, no handler that hangs, no lag."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from tests.chaos.arena import Arena, figures_of, open_arena, shortened
from tests.chaos.effects import Request
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo.process import WorkerProcess
from worker.jobs.voice.demo import VoiceJob

RECEIVES_ALLOWED = 10
"""Throttling is no outage, it may hit one call and not the next: no breaker holds the intake, and
each message comes back by its own backoff."""

MINUTE = 60
"""What the throttling stands for, in seconds; a shorter one shortens the breaker's times."""

LONGEST_RUN_SECONDS = 30
"""A bucket of the histogram: the guard's 15 s, and as long again for a busy machine."""

LONGEST_LAG_SECONDS = 1
RECOVERY_SECONDS = 30
THROTTLED = "ProvisionedThroughputExceededException"


async def play(seed: int, sizes: Sizes) -> Findings:
    """Refuse every DynamoDB call for want of capacity."""
    async with open_arena(seed) as arena:
        job = VoiceJob(sizes.events // 3, arena.random)
        job.prepare(arena.emulators)
        scale = MINUTE / sizes.dead_seconds
        worker = await arena.worker(**shortened(scale))
        await worker.start()
        arena.tap.cuts["aws"] = _throttle
        arena.send(job.traffic())
        await asyncio.sleep(sizes.dead_seconds)
        arena.findings.expect(arena.tap.refused, "DynamoDB was asked at all")
        arena.findings.figures["calls throttled"] = arena.tap.refused
        arena.findings.expect(not arena.dead_letters(), "nothing is dead-lettered meanwhile")
        arena.tap.cuts.clear()
        await _recover(arena, job, MINUTE / scale + RECOVERY_SECONDS + sizes.events / 10)
        await _check_times(arena.findings, worker)
        return arena.findings


def _throttle(request: Request) -> web.Response | None:
    if not request.headers.get("x-amz-target", "").startswith("DynamoDB"):
        return None
    return web.json_response({"__type": THROTTLED, "message": "too much"}, status=400)


async def _recover(arena: Arena, job: VoiceJob, seconds: float) -> None:
    findings = arena.findings
    findings.expect(await arena.settled(seconds), "all is done once there is capacity")
    arena.check()
    arena.expect_receives(RECEIVES_ALLOWED)
    findings.expect(not arena.dead_letters(), "nothing is dead-lettered afterwards")
    await arena.expect_effects([job])
    receives = arena.receives()
    findings.figures |= {"messages": len(receives), "most receives": max(receives.values())}


async def _check_times(findings: Findings, worker: WorkerProcess) -> None:
    """Read what the worker itself measured, in the buckets of its histograms."""
    figures = await figures_of(worker)
    run = 'worker_message_duration_seconds_bucket{handler="voice",le="%s"}'
    lag = 'worker_loop_lag_seconds_bucket{le="%s"}'
    findings.expect(_all_within(figures, run, LONGEST_RUN_SECONDS), "no run hangs", figures)
    findings.expect(_all_within(figures, lag, LONGEST_LAG_SECONDS), "the loop is free", figures)


def _all_within(figures: Mapping[str, float], bucket: str, seconds: float) -> bool:
    return 0 < figures[bucket % "+Inf"] == figures[bucket % f"{seconds:.1f}"]
