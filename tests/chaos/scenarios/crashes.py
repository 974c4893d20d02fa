"""Two messages that end the process, whichever worker takes them: they alone are dead-lettered."""

import time
from collections import Counter

from tests.chaos.arena import Arena, open_arena
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import Planned, an_id, envelope, iso
from worker.demo.process import WorkerProcess
from worker.jobs.voice.demo import KIND, START, VoiceJob

PROGRAM = ("-m", "tests.chaos.inside.crashing")
CRASHED = 139
MOST_RECEIVES = 8
"""Of a neighbour: it may be in flight with either killer, and runs alone after two deaths."""

LONGEST_SECONDS = 200
SECONDS_OF_AN_EVENT = 0.2
"""moto's DynamoDB, which is asked about each that comes back, takes a core for the full size."""


async def play(seed: int, sizes: Sizes) -> Findings:
    """Send the killers among neighbours, and restart the worker as a supervisor would."""
    async with open_arena(seed) as arena:
        count = max(60, sizes.events // 3)
        job = VoiceJob(count, arena.random)
        job.prepare(arena.emulators)
        killers = [an_id(arena.random), an_id(arena.random)]
        planned = [*job.traffic(), *map(a_score, killers)]
        arena.random.shuffle(planned)
        evidence = await arena.make_idempotency_table()
        worker = await arena.worker(program=PROGRAM, KILLERS=",".join(killers), **evidence)
        arena.send(planned)
        arena.findings.figures["crashes"] = await _supervise(
            arena, worker, LONGEST_SECONDS + SECONDS_OF_AN_EVENT * count
        )
        await _check_outcome(arena, job)
        return arena.findings


def a_score(conversation_id: str) -> Planned:
    """Return an event of the voice job that must end as a dead letter."""
    detail = {
        "conversationId": conversation_id,
        "timestamp": iso(START),
        "phoneNumber": "+15550000000",
        "sentiment": {"overall": 0.5},
    }
    body = envelope("voice.analytics", detail, at=START, event_id=conversation_id)
    return Planned(KIND, body, disposition="dead-lettered")


async def _supervise(arena: Arena, worker: WorkerProcess, seconds: float) -> int:
    """Start the worker anew whenever it crashed, until the queue is empty; how often it did."""
    crashes, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        await worker.start(until_ready=False)
        while not (settled := await arena.settled(0.2)) and worker.returncode is None:
            if time.monotonic() >= end:
                break
        if settled or worker.returncode is None:
            break
        if worker.returncode != CRASHED:
            arena.findings.expect(held=False, promise="it only crashes", detail=worker.tail())
            break
        crashes += 1
    return crashes


async def _check_outcome(arena: Arena, job: VoiceJob) -> None:
    history, findings, receives = arena.check(), arena.findings, arena.receives()
    killers = {key for key, one in history.sent.items() if one.disposition == "dead-lettered"}
    findings.expect(
        set(history.dead_lettered) == killers, "the killers, and no other, are dead letters"
    )
    findings.none_of(
        (letter.id for letter in arena.dead_letters() if letter.dead_letter_source_arn),
        "moved by SQS, without a reason",
    )
    neighbours = (key for key, times in receives.items() if times > MOST_RECEIVES)
    findings.none_of(neighbours, f"received more than {MOST_RECEIVES} times")
    [records] = await job.effects(arena.emulators)
    findings.expect(records.right, "neighbours are done, each once", list(records.wrong)[:3])
    others = Counter(times for key, times in receives.items() if key not in killers)
    findings.figures |= {
        "neighbours": len(history.sent) - len(killers),
        "dead letters": len(history.dead_lettered),
        "neighbours by receives": dict(sorted(others.items())),
    }
