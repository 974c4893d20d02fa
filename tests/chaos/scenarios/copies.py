"""Many copies of one event over three processes, one of which is frozen past its leases."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.arena import Arena, open_arena
from tests.chaos.checker import conversation_of
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import Planned
from worker.demo.process import WorkerProcess
from worker.jobs.attributes.demo import AttributesJob
from worker.jobs.voice.demo import VoiceJob
from worker.jobs.workflow.demo import EndedJob

WORKERS = 3
FROZEN_SECONDS = 14
"""Beyond the queue's visibility (10) and the idempotency table's lease and skew (4 + 5)."""

THAWED_SECONDS = 4
"""What it would still do, it does in that time."""

LATENCY_SECONDS = 1.5
ONCE = {
    "voice sentiment": ("records",),
    "conversation start": ("attributes", "analytics webhook"),
    "chat end": (
        "executions",
        "bus ChatSentimentAnalysis",
        "bus ChatSentimentEscalation",
        "crm webhook",
        "alert webhook",
    ),
}


async def play(seed: int, sizes: Sizes) -> Findings:
    """Send each event many times; with the table even sinks without keys hear of it once."""
    async with open_arena(seed) as arena:
        events = _one_of_each(arena)
        idempotency_table = await arena.make_idempotency_table()
        workers = [await arena.worker(f"worker-{n}", **idempotency_table) for n in range(WORKERS)]
        await asyncio.gather(*(worker.start() for worker in workers))
        copies = [event for event in events for _ in range(sizes.copies)]
        arena.random.shuffle(copies)
        arena.send(copies)
        arena.findings.expect(await arena.settled(120), "all copies are settled")
        before = len(arena.tap.effects)
        frozen = await _freeze_one(arena, workers)
        _check_outcome(arena, frozen)
        _check_late(arena, frozen)
        refused = [await _refusals(worker) for worker in workers]
        arena.findings.figures |= {
            "copies of each": sizes.copies,
            "effects before the freeze": before,
            "effects": dict(Counter(effect.sink for effect in arena.tap.effects)),
            "stale owners refused by the idempotency table": sum(refused),
            "runs cancelled as their lease was over": len(_gave_up(workers[0])),
        }
        return arena.findings


def _one_of_each(arena: Arena) -> list[Planned]:
    """Return a score, a beginning and the end of a severe chat, which alarms everyone."""
    jobs = [
        VoiceJob(1, arena.random),
        AttributesJob(1, arena.random),
        EndedJob(0, 1, arena.random),
    ]
    for job in jobs:
        job.prepare(arena.emulators)
    return [job.traffic()[0] for job in jobs]


class Frozen(NamedTuple):
    """What the frozen worker had in flight."""

    conversations: set[str]
    thawed_at: float


async def _freeze_one(arena: Arena, workers: list[WorkerProcess]) -> Frozen:
    """Stop one worker in the middle of its work, and let the others take over.

    It must find out that it was too late.
    """
    others = workers[1:]
    for worker in others:
        worker.signal(signal.SIGSTOP)
    # A poll of a stopped worker would take the messages with it.
    await asyncio.sleep(1.5)
    arena.emulators.genesys.latency_seconds = LATENCY_SECONDS
    ids = arena.send(_one_of_each(arena))
    receives = arena.emulators.sqs.journal.receives
    await arena.emulators.sqs.wait_until(lambda: all(receives[key] for key in ids), 30)
    await asyncio.sleep(LATENCY_SECONDS / 2)
    workers[0].signal(signal.SIGSTOP)
    for worker in others:
        worker.signal(signal.SIGCONT)
    await asyncio.sleep(FROZEN_SECONDS)
    arena.emulators.genesys.latency_seconds = 0
    arena.findings.expect(await arena.settled(60), "others take over from a frozen worker")
    arena.findings.expect(
        all(receives[key] > 1 for key in ids), "the frozen worker lost its messages"
    )
    thawed_at = time.time()
    workers[0].signal(signal.SIGCONT)
    await asyncio.sleep(THAWED_SECONDS)
    ready = await workers[0].ready()
    why = "" if ready else await workers[0].page("/readyz")
    arena.findings.expect(ready, "the frozen worker is ok again", why)
    return Frozen({conversation_of(arena.sent[key]) for key in ids}, thawed_at)


def _check_late(arena: Arena, frozen: Frozen) -> None:
    """What a frozen worker sent before may arrive, but it does nothing once it wakes."""
    late = [
        effect.sink
        for effect in arena.tap.effects
        if effect.conversation_id in frozen.conversations and effect.time > frozen.thawed_at
    ]
    arena.findings.expect(not late, "a late worker does nothing", Counter(late))


def _check_outcome(arena: Arena, frozen: Frozen) -> None:
    history, findings = arena.check(), arena.findings
    done = Counter((effect.sink, effect.conversation_id) for effect in history.effects)
    for planned in {replace(planned) for planned in history.sent.values()}:
        conversation_id = conversation_of(planned)
        for sink in ONCE[planned.kind]:
            times = done[sink, conversation_id]
            # A request under way when its worker freezes still arrives, and no one notes that. The
            # same attributes twice are once; all other sinks here have keys, or come later.
            allowed = (
                (1, 2) if sink == "attributes" and conversation_id in frozen.conversations else (1,)
            )
            findings.expect(times in allowed, f"exactly one effect: {sink}", f"{times}")
    findings.expect(not history.dead_lettered, "no copy is dead-lettered")


def _gave_up(worker: WorkerProcess) -> list[str]:
    return [
        line["event"]
        for line in worker.lines()
        if line["event"] in ("lease_lost", "idempotency_claim_lost")
    ]


async def _refusals(worker: WorkerProcess) -> int:
    for family in text_string_to_metric_families(await worker.page("/metrics")):
        for sample in family.samples:
            if sample.name == "worker_idempotency_outcomes_total" and "stale_owner" in str(
                sample.labels
            ):
                return int(sample.value)
    return 0
