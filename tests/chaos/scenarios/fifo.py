"""A FIFO queue, a tenth of all upstream calls failing, and kills: order in every group."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from random import Random

import orjson

from tests.chaos.arena import Arena, open_arena
from tests.chaos.checker import History
from tests.chaos.effects import Request
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import Planned, an_id, envelope, iso
from worker.demo.process import WorkerProcess
from worker.jobs.voice.demo import KIND, START

FAILING = 0.1
KILL_EVERY = 400
"""One kill per so many messages, and at least two."""


async def play(seed: int, sizes: Sizes) -> Findings:
    """Send scores of rising time, a conversation a group; check the order of the records."""
    async with open_arena(seed, fifo=True) as arena:
        groups = {an_id(arena.random): f"g{number}" for number in range(sizes.groups)}
        for number in range(sizes.per_group):
            for group, (conversation_id, group_id) in enumerate(groups.items()):
                caller = f"+1555{number * sizes.groups + group:07d}"
                arena.send([_score(conversation_id, number, caller)], group_id)
        arena.tap.cuts["genesys"] = _one_in_ten(arena.random)
        worker = await arena.worker(
            # Bound to its job: on a shared queue a moment without DynamoDB, on a busy machine,
            # hides each head for as long again as it has waited.
            SQS_QUEUE_URL=f"voice={arena.emulators.queue_url}",
            HANDLERS="voice",
            GENESYS_ATTEMPTS=1,
            RETRY_BASE_SECONDS=0.2,
            RETRY_CAP_SECONDS=2,
        )
        kills = max(2, len(arena.sent) // KILL_EVERY)
        for number in range(1, kills + 1):
            await _life(arena, worker, until=len(arena.sent) * number / (kills + 1))
        await worker.start()
        arena.findings.expect(await arena.settled(60 + len(arena.sent) / 10), "all is settled")
        _check_outcome(arena, arena.check(), kills)
        return arena.findings


async def _life(arena: Arena, worker: WorkerProcess, *, until: float) -> None:
    """Start the worker, and kill it when about so many messages are deleted."""
    deleted, due = arena.emulators.sqs.journal.deletes, until * arena.random.uniform(0.8, 1)
    await worker.start()
    await arena.emulators.sqs.wait_until(lambda: len(deleted) >= due, 300)
    await asyncio.sleep(arena.random.uniform(0, 0.2))
    worker.signal(signal.SIGKILL)
    await worker.wait(5)


def _check_outcome(arena: Arena, history: History, kills: int) -> None:
    expected, written = defaultdict(list), defaultdict(list)
    for planned in history.sent.values():
        conversation_id, moment = _place(planned)
        expected[conversation_id].append(moment)
    at: dict[tuple[str, str], float] = {}
    for effect in history.effects:
        written[effect.conversation_id].append(effect.key)
        at[effect.conversation_id, effect.key] = effect.time
    findings = arena.findings
    findings.none_of((key for key in expected if written[key] != expected[key]), "order per group")
    recorded = ((key, at.get(_place(history.sent[key]), 0)) for key in history.deleted_at)
    early = (key for key, when in recorded if when > history.deleted_at[key])
    findings.none_of(early, "deleted before its own record")
    findings.expect(not history.dead_lettered, "nothing is dead-lettered")
    receives = arena.receives().values()
    findings.figures |= {
        "groups": len(expected),
        "messages": len(history.sent),
        "kills": kills,
        "failed calls": arena.tap.refused,
        "receives a message": round(sum(receives) / len(receives), 2),
        "most receives": max(receives),
        "messages/s": round(len(at) / _span(history), 1),
    }


def _span(history: History) -> float:
    times = [effect.time for effect in history.effects] or [0.0]
    return max(times) - min(times) or 1.0


def _place(planned: Planned) -> tuple[str, str]:
    detail = orjson.loads(planned.body)["detail"]
    return detail["conversationId"], detail["timestamp"]


def _one_in_ten(random: Random) -> Callable[[Request], int | None]:
    def cut(request: Request) -> int | None:
        return 500 if request.path.endswith("/execute") and random.random() < FAILING else None

    return cut


def _score(conversation_id: str, number: int, caller: str) -> Planned:
    at = START + timedelta(seconds=number)
    detail = {
        "conversationId": conversation_id,
        "timestamp": iso(at),
        "phoneNumber": caller,
        "sentiment": {"overall": 0.5},
    }
    return Planned(KIND, envelope("voice.analytics", detail, at=at, event_id=an_id(Random(caller))))
