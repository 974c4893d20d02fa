"""Dead dead letters are limited by their cause; what has another cause, or none, flows."""

import asyncio
import random
import sys
import time

from aiohttp import web

from tests.isolation.emulators import TABLE, Request
from tests.isolation.lab import Lab, open_lab
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event, ended, voice

UNREADABLE = 400
HEALTHY = 100
FRESH = 20
HEALTHY_SECONDS = 25
MOST_IN_A_MINUTE = 60

MOST_OF_A_TABLE = 75
FLOW_SECONDS = 15
REDRIVE = ("-m", "worker", "dlq", "redrive", "--apply", "--rate", "50")


async def unreadable(size: Size) -> Proof:
    """Four unreadable messages for each healthy one; then fresh ones."""
    async with open_lab(size) as lab:
        await lab.worker(("voice",)).start()
        bad = [Event("voice", "", f"not JSON, number {number}") for number in range(UNREADABLE)]
        healthy = [voice(lab.emulators) for _ in range(HEALTHY)]
        mixed = [*bad, *healthy]
        random.Random(10).shuffle(mixed)
        began = time.time()
        ids = lab.send(*mixed)
        ours = [one for one in ids if lab.by_message[one].conversation_id]
        await lab.until_done(ours, HEALTHY_SECONDS)
        proof = lab.proof
        proof.equal("healthy done in 25 s", len(lab.done(ours)), HEALTHY)
        proof.at_most("longest healthy wait, s", max(lab.waits(ours)), HEALTHY_SECONDS)
        fresh = lab.send(*[voice(lab.emulators) for _ in range(FRESH)])
        await lab.until_done(fresh, HEALTHY_SECONDS)
        proof.equal("fresh ones done in 25 s", len(lab.done(fresh)), FRESH)
        await asyncio.sleep(max(0.0, began + 60 - time.time()))
        dead_letters = lab.dead_letters()
        early = sum(
            dead_letter.sent_at_milliseconds / 1000 <= began + 60 for dead_letter in dead_letters
        )
        proof.at_most("dead letters in the first minute", early, MOST_IN_A_MINUTE)
        dead = set(lab.dead_ids())
        left = {one for one in lab.on_queue("voice") if one in set(ids) - set(ours)}
        proof.equal("the others are still on the queue", len(left), UNREADABLE - len(dead))
        return proof


def refuses_items(request: Request) -> web.Response | None:
    """Answer as DynamoDB does when the item does not fit the table."""
    target = request.headers.get("x-amz-target", "")
    if not target.endswith(".PutItem") or f'"{TABLE}"'.encode() not in request.body:
        return None
    kind = "com.amazon.coral.validate#ValidationException"
    words = "One or more parameter values were invalid: Type mismatch for key"
    return web.json_response({"__type": kind, "message": words}, status=400)


async def bad_table_fast(size: Size) -> Proof:
    """Five events a second."""
    return await _bad_table(size, every=0.2, quick_minutes=2)


async def bad_table_slow(size: Size) -> Proof:
    """One event every two seconds."""
    return await _bad_table(size, every=2, quick_minutes=4)


async def _bad_table(size: Size, *, every: float, quick_minutes: float) -> Proof:
    async with open_lab(size) as lab:
        worker = lab.worker(("voice", "workflow"))
        await worker.start()
        lab.tap.cuts["aws"] = refuses_items
        seconds = size.minutes(10, quick_minutes)
        voices, calls = await asyncio.gather(
            lab.stream(lambda: voice(lab.emulators), every=every, seconds=seconds),
            lab.stream(lambda: ended(lab.emulators), every=2, seconds=seconds),
        )
        await lab.until_done(calls, FLOW_SECONDS)
        proof = lab.proof
        proof.note("events for the table", len(voices))
        proof.equal("ended conversations done", len(lab.done(calls)), len(calls))
        proof.at_most("their longest wait, s", max(lab.waits(calls)), FLOW_SECONDS)
        del lab.tap.cuts["aws"]
        await _heals(lab, voices)
        return proof


async def _heals(lab: Lab, ids: list[str]) -> None:
    """Wait for the next try, at most the longest pause away; then redrive what was too early."""
    limit = lab.size.minutes(17, 6)
    took = await lab.until_done(ids, limit)
    proof, dead = lab.proof, set(lab.dead_ids()) & set(ids)
    proof.at_most("dead letters", len(dead), MOST_OF_A_TABLE)
    proof.at_most("all others settled, s after it healed", took, limit)
    missing = await _without_record(lab, [one for one in ids if one not in dead])
    proof.equal("records missing, but for the dead letters", len(missing), 0)
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        *REDRIVE,
        env={**lab.environment, "SQS_QUEUE_URL": lab.queue_setting(("voice", "workflow"))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    proof.holds("they are redriven", command.returncode == 0, output.decode()[-400:])

    async def all_there() -> bool:
        return not await _without_record(lab, ids)

    proof.at_most("all records there, s after that", await lab.until(all_there, 60), 60)


async def _without_record(lab: Lab, ids: list[str]) -> list[str]:
    there = await lab.records()
    return [one for one in ids if lab.by_message[one].conversation_id not in there]


PLAYS = {
    "unreadable": unreadable,
    "bad_table_fast": bad_table_fast,
    "bad_table_slow": bad_table_slow,
}
