"""An SQS that drips, is half open or is not there yet: the worker waits, and ends when asked to."""

import asyncio
import time

from tests.isolation.emulators import ACCESS_DENIED, Refuse
from tests.isolation.lab import Lab, open_lab
from tests.isolation.process import Worker
from tests.isolation.proof import Proof
from tests.isolation.proxy import Drip, half_open
from tests.isolation.sizes import Size
from tests.isolation.traffic import voice

DRAIN_SECONDS = 5
MARGIN_SECONDS = 10
START_SECONDS = 6
AWAY_SECONDS = 20
VOICES = 30


async def dripping_deletes(size: Size) -> Proof:
    """Let replies to deletes come a byte a second; end the worker."""
    async with open_lab(size) as lab:
        drip = Drip(lab.emulators.sqs.endpoint_url, "DeleteMessage")
        async with drip.serving():
            worker = _at(lab, drip.url, SQS_DRAIN_SECONDS=DRAIN_SECONDS, SQS_WAIT_SECONDS=2)
            await worker.start()
            drip.on = True
            lab.send(*[voice(lab.emulators) for _ in range(VOICES)])
            await lab.until(lambda: drip.dripped, 20)
            took = await worker.stop(60)
            proof = lab.proof
            proof.at_least("replies that drip", drip.dripped, 1)
            proof.at_most("ended after SIGTERM, s", took, DRAIN_SECONDS + MARGIN_SECONDS)
            proof.note("exit code", worker.returncode)
            return proof


async def half_open_start(size: Size) -> Proof:
    """Start at an SQS that takes connections and answers nothing; end the worker."""
    async with open_lab(size) as lab, half_open() as url:
        worker = _at(lab, url)
        await worker.start(until_ready=False)
        await asyncio.sleep(START_SECONDS)
        proof = lab.proof
        proof.equal("/livez", (await worker.page("/livez"))[0], 200)
        proof.equal("/readyz", (await worker.page("/readyz"))[0], 503)
        proof.holds("it waits", worker.returncode is None, worker.tail())
        proof.at_most("ended after one SIGTERM, s", await worker.stop(80), MARGIN_SECONDS)
        proof.note("exit code", worker.returncode)
        return proof


async def late_sqs(size: Size) -> Proof:
    """Answer 503 for 20 s from the start on."""
    return await _late(size, Refuse("ServiceUnavailable", 503))


async def late_permissions(size: Size) -> Proof:
    """Deny everything for 20 s from the start on: permissions arrive late."""
    return await _late(size, ACCESS_DENIED)


async def _late(size: Size, refusal: Refuse) -> Proof:
    async with open_lab(size) as lab:
        lab.emulators.sqs.faults.add("*", refusal)
        ids = lab.send(*[voice(lab.emulators) for _ in range(VOICES)])
        worker = lab.worker(("voice",))
        began = time.monotonic()
        await worker.start(until_ready=False)
        await asyncio.sleep(START_SECONDS)
        seen = set()
        while time.monotonic() < began + AWAY_SECONDS:
            seen.add(((await worker.page("/livez"))[0], (await worker.page("/readyz"))[0]))
            await asyncio.sleep(0.5)
        proof = lab.proof
        proof.equal("/livez and /readyz meanwhile", sorted(seen), [(200, 503)])
        proof.holds("it waits", worker.returncode is None, worker.tail()[-300:])
        lab.emulators.sqs.faults.clear()
        took = await lab.until_done(ids, 40) if worker.returncode is None else None
        proof.at_most("all done, s after it healed", took, 40)
        proof.equal("they are recorded", len(await lab.records()), VOICES)
        return proof


def _at(lab: Lab, url: str, **settings: object) -> Worker:
    """Return a worker whose SQS is somewhere else."""
    queues = lab.queue_setting(("voice",)).replace(lab.emulators.sqs.endpoint_url, url)
    dead_letters = lab.emulators.dead_letter_url.replace(lab.emulators.sqs.endpoint_url, url)
    return lab.worker(
        ("voice",),
        AWS_ENDPOINT_URL_SQS=url,
        SQS_QUEUE_URL=queues,
        SQS_DEAD_LETTER_QUEUE_URL=dead_letters,
        **settings,
    )


PLAYS = {
    "dripping_deletes": dripping_deletes,
    "half_open_start": half_open_start,
    "late_sqs": late_sqs,
    "late_permissions": late_permissions,
}
