"""A new process after trouble: at full speed, and only what kills is put aside."""

import random
import signal
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.isolation.emulators import LEDGER_TABLE, Request
from tests.isolation.lab import Lab, failure_of, open_lab, origin_of
from tests.isolation.process import Worker
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event, voice

MESSAGES = 200
RECEIVES = 4
UPSTREAM_SECONDS = 0.3
RATIO = 2.0
LONGEST_SECONDS = 180

KILLS = 10
NEIGHBOURS = 60
MOST_RECEIVES = 5
VISIBILITY_SECONDS = 10
POLL_SECONDS = 2
"""A killed process leaves polls open at SQS; longer ones would take what it held a second time."""

SEGMENTATION_FAULT = 139
"""Exit code of a process that `inside` ends."""

INSIDE = Path(__file__).parents[1] / "inside"


async def received_before(size: Size) -> Proof:
    """Compare what was received four times with what never was; without a table and with one."""
    proof = Proof()
    for table in (None, LEDGER_TABLE):
        fresh = await _run(size, table, receives=0)
        old = await _run(size, table, receives=RECEIVES)
        word = "with the table" if table else "without a table"
        proof.note(f"{word}: 200 fresh ones, s", fresh)
        proof.note(f"{word}: 200 with four receives, s", old)
        proof.at_most(f"{word}: their ratio", old / fresh, RATIO)
    return proof


async def _run(size: Size, table: str | None, *, receives: int) -> float:
    """Return the seconds from the first receive of a new process to the last delete."""
    async with open_lab(size) as lab:
        lab.emulators.genesys.latency_seconds = UPSTREAM_SECONDS
        ids = lab.send(*[voice(lab.emulators) for _ in range(MESSAGES)])
        for _ in range(receives):
            await _received_by_no_one(lab)
        before = len(lab.emulators.sqs.journal.records)
        await lab.worker(("voice",), LEDGER_TABLE=table).start()
        if await lab.until_done(ids, LONGEST_SECONDS) is None:
            return float("inf")
        records = lab.emulators.sqs.journal.records[before:]
        first = next(r.time for r in records if r.action == "ReceiveMessage" and r.message_ids)
        return max(lab.deleted_at()[one] for one in ids) - first


async def _received_by_no_one(lab: Lab) -> None:
    """Receive every message once, and give all of them back."""
    url, handles = lab.queues["voice"], []
    async with aiohttp.ClientSession() as http:

        async def call(action: str, **parameters: object) -> dict[str, object]:
            headers = {"X-Amz-Target": f"AmazonSQS.{action}"}
            body = {"QueueUrl": url, **parameters}
            async with http.post(
                lab.emulators.sqs.endpoint_url, json=body, headers=headers
            ) as reply:
                return await reply.json(content_type=None)

        while found := (await call("ReceiveMessage", MaxNumberOfMessages=10)).get("Messages"):
            handles += [message["ReceiptHandle"] for message in found]
        for handle in handles:
            await call("ChangeMessageVisibility", ReceiptHandle=handle, VisibilityTimeout=0)


async def killer_in_handler(size: Size) -> Proof:
    """Kill the process whenever it asks for the killer's caller."""
    async with open_lab(size, visibility_seconds=VISIBILITY_SECONDS) as lab:
        killer = voice(lab.emulators)
        worker = lab.worker(("voice",), LEDGER_TABLE=LEDGER_TABLE, SQS_WAIT_SECONDS=POLL_SECONDS)

        def kill(request: Request) -> web.Response | None:
            if killer.phone.encode() not in request.body:
                return None
            worker.signal(signal.SIGKILL)
            return web.Response(status=503)

        lab.tap.cuts["genesys"] = kill
        await _kills(lab, killer, worker, -signal.SIGKILL)
        return lab.proof


async def killer_by_body(size: Size) -> Proof:
    """Let the process die when it opens the killer's body."""
    async with open_lab(size, visibility_seconds=VISIBILITY_SECONDS) as lab:
        killer = voice(lab.emulators)
        mark = killer.conversation_id
        worker = lab.worker(
            ("voice",),
            LEDGER_TABLE=LEDGER_TABLE,
            SQS_WAIT_SECONDS=POLL_SECONDS,
            KILL_MARK=mark,
            PYTHONPATH=INSIDE,
        )
        await _kills(lab, killer, worker, SEGMENTATION_FAULT)
        return lab.proof


async def _kills(lab: Lab, killer: Event, worker: Worker, by: int) -> None:
    lab.emulators.genesys.latency_seconds = UPSTREAM_SECONDS
    neighbours = [voice(lab.emulators) for _ in range(NEIGHBOURS)]
    mixed = [killer, *neighbours]
    random.Random(10).shuffle(mixed)
    ids = lab.send(*mixed)
    [bad] = [one for one in ids if lab.by_message[one] is killer]
    codes, took = await _supervised(lab, worker, ids)
    proof, others = lab.proof, [one for one in ids if one != bad]
    proof.note("kills", len(codes))
    proof.holds("the killer did kill", codes, worker.tail())
    proof.equal("ends by anything else", len([code for code in codes if code != by]), 0)
    proof.at_most("all settled, after s", took, LONGEST_SECONDS)
    dead = lab.dead_ids()
    proof.equal("the killer is dead-lettered", dead.count(bad), 1)
    proof.equal("others that are", len([one for one in dead if one != bad]), 0)
    reported = [failure_of(letter) for letter in lab.dead_letters() if origin_of(letter) == bad]
    proof.holds("by the worker, with a reason", reported and reported[0].get("reason"), reported)
    proof.at_most("most receives of a neighbour", max(lab.receives(others)), MOST_RECEIVES)
    recorded = len(await lab.records_of(neighbours))
    proof.equal("neighbours that are recorded", recorded, NEIGHBOURS)


async def _supervised(lab: Lab, worker: Worker, ids: list[str]) -> tuple[list[int], float | None]:
    """Start the worker anew whenever it died, ten times at most, until all is settled.

    Return the exit codes, and the seconds it took.
    """
    codes: list[int] = []
    began = time.monotonic()
    while len(codes) < KILLS:
        await worker.start(until_ready=False)

        def over() -> bool:
            return worker.returncode is not None or not lab.open(ids)

        left = began + LONGEST_SECONDS - time.monotonic()
        if await lab.until(over, max(left, 0)) is None:
            return codes, None
        if worker.returncode is None:
            return codes, time.monotonic() - began
        codes.append(worker.returncode)
    return codes, None


PLAYS = {
    "received_before": received_before,
    "killer_in_handler": killer_in_handler,
    "killer_by_body": killer_by_body,
}
