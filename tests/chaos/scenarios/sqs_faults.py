"""SQS itself fails, by a seeded plan and then altogether: no loss, no hot loop, soon well again."""

import asyncio
import time

from tests.chaos.arena import Arena, figures_of, open_arena
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import Demo, InvalidTraffic
from worker.demo.process import WorkerProcess
from worker.emulators.sqs.control import (
    HTTP_500,
    THROTTLED,
    DeliverAgain,
    FailEntries,
    Fault,
    FaultPlan,
    FewerMessages,
    Refuse,
    Reset,
    Slow,
    When,
)
from worker.intake.settlement import NOT_DEAD_LETTERED_SECONDS
from worker.jobs.voice.demo import VoiceJob

CONCURRENCY = 20
"""The emulated DynamoDB does some sixteen a second on a busy machine: of the usual 64 at once, each
would wait longer than the client does, and SQS alone is what fails here."""

RECOVERY_SECONDS = 30
SETTLE_SECONDS = 3
"""Time for all pollers but one to notice and leave."""

CPU_SHARE = 0.2
"""Of one core, while SQS answers nothing but errors."""

DEAD_LETTERS_TRIED = 4
"""One in four dead letters cannot be sent, by two attempts each; it is tried again in a minute."""

POISON_ROUNDS = 3
"""Eight dead letters each; more than fifty a minute would pause the intake."""

DELETE, HIDE, RECEIVE = "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "ReceiveMessage"
SEND = "SendMessage"
PLAN: tuple[tuple[str, Fault, float], ...] = (
    (RECEIVE, HTTP_500, 0.1),
    (RECEIVE, Reset(), 0.05),
    # Its messages are hidden and no one has them: they come again after their visibility timeout.
    (RECEIVE, Reset(after_effect=True), 0.03),
    (RECEIVE, Slow(2), 0.05),
    (RECEIVE, FewerMessages(2), 0.2),
    (RECEIVE, DeliverAgain(), 0.1),
    (DELETE, HTTP_500, 0.1),
    (DELETE, Refuse(after_effect=True), 0.1),
    (DELETE, Reset(), 0.1),
    (DELETE, THROTTLED, 0.1),
    (DELETE, FailEntries(2), 0.2),
    (DELETE, FailEntries(1, "ReceiptHandleIsInvalid", sender_fault=True), 0.05),
    (DELETE, Slow(1), 0.1),
    (HIDE, HTTP_500, 0.2),
    (HIDE, FailEntries(1), 0.2),
    (SEND, HTTP_500, 0.2),
    (SEND, THROTTLED, 0.1),
    (SEND, Reset(), 0.1),
    # A second dead letter of the same message: SQS has no key for it on a standard queue.
    (SEND, Reset(after_effect=True), 0.1),
    (SEND, Slow(1), 0.2),
)


async def play(seed: int, sizes: Sizes) -> Findings:
    """Faults of all kinds, then an SQS that answers nothing but errors, then health."""
    plan = FaultPlan(seed)
    async with open_arena(seed, faults=plan) as arena:
        jobs: list[Demo] = [
            VoiceJob(sizes.events // 3, arena.random),
            *[InvalidTraffic(sizes.events // 30)] * POISON_ROUNDS,
        ]
        for job in jobs:
            job.prepare(arena.emulators)
        planned = [message for job in jobs for message in job.traffic()]
        arena.random.shuffle(planned)
        worker = await arena.worker(SQS_CONCURRENCY=CONCURRENCY)
        await worker.start()
        for action, fault, share in PLAN:
            plan.add(action, fault, When(probability=share))
        arena.send(planned[::2])
        with_faults = await arena.settled(
            DEAD_LETTERS_TRIED * NOT_DEAD_LETTERED_SECONDS + sizes.events / 5
        )
        arena.findings.expect(with_faults, "all is done in spite of faults")
        await _dead(arena, plan, worker, sizes.dead_seconds - SETTLE_SECONDS)
        arena.send(planned[1::2])
        await _heal(arena, plan, sizes)
        arena.findings.expect(await worker.ready(), "ready again")
        await _check_outcome(arena, jobs)
        return arena.findings


async def _dead(arena: Arena, plan: FaultPlan, worker: WorkerProcess, seconds: float) -> None:
    """Let every call fail, and see how often the worker asks, and what that costs."""
    plan.clear()
    plan.add("*", HTTP_500, When(probability=0.7))
    plan.add("*", Reset())
    await asyncio.sleep(SETTLE_SECONDS)
    before, cpu_before = arena.emulators.sqs.counts[RECEIVE], await _cpu_seconds(worker)
    await asyncio.sleep(seconds)
    rate = (arena.emulators.sqs.counts[RECEIVE] - before) / seconds
    share = (await _cpu_seconds(worker) - cpu_before) / seconds
    arena.findings.figures["receives/s while dead"] = round(rate, 2)
    arena.findings.figures["CPU % while dead"] = round(100 * share, 1)
    arena.findings.expect(rate <= 1, "at most one receive a second while SQS fails", rate)
    arena.findings.expect(share < CPU_SHARE, "hardly any CPU while SQS fails", share)


async def _cpu_seconds(worker: WorkerProcess) -> float:
    return (await figures_of(worker))["process_cpu_seconds_total"]


async def _heal(arena: Arena, plan: FaultPlan, sizes: Sizes) -> None:
    plan.clear()
    healed_at, records = time.time(), arena.emulators.sqs.journal.records
    first = len(records)
    arena.findings.expect(
        await arena.settled(RECOVERY_SECONDS + sizes.events / 10), "all is done once SQS is ok"
    )
    at = next((r.time for r in records[first:] if r.action == RECEIVE and r.message_ids), None)
    recovered = at - healed_at if at else float("inf")
    arena.findings.figures["first message after s"] = round(recovered, 1)
    arena.findings.expect(recovered < RECOVERY_SECONDS, "recovery within 30 s", recovered)


async def _check_outcome(arena: Arena, jobs: list[Demo]) -> None:
    history, findings = arena.check(), arena.findings
    await arena.expect_effects(jobs[:1])
    journal, dead = arena.emulators.sqs.journal, history.dead_lettered
    findings.figures |= {
        "messages": len(history.sent),
        "dead letters": f"{len(dead)} of {len(set(dead))} messages",
        "most receives": max(arena.receives().values()),
        "faults met": sum(r.outcome not in ("ok", "empty") for r in journal.records),
    }
