"""What the data action's own CRM does wrong is felt by voice enrichment, and by no other."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from tests.isolation.lab import Lab, open_lab
from tests.isolation.process import Worker
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import ended, new_id, voice

VOICES = 30
WORKFLOWS = 20
WORKFLOW_SECONDS = 15
RIPEN_SECONDS = 4
"""From the first failures on: as long as a breaker, a token or a budget takes to be ruined."""

HEAL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RemoteFault:
    """An answer of the data action that speaks of the system behind it (GENESYS.md 4)."""

    status: int
    detail: str = "ACTION.REMOTE_ENDPOINT"
    code: str = "bad.request"

    @property
    def name(self) -> str:
        """Return it in words."""
        return f"{self.status} {self.detail}"

    async def __call__(self, _: web.Request) -> web.StreamResponse:
        """Answer it."""
        context = new_id()
        detail = {"errorCode": self.detail, "fieldName": None, "entityId": None}
        body = {
            "message": "The remote system answered with a failure",
            "code": self.code,
            "status": self.status,
            "contextId": context,
            "details": [detail],
            "errors": [],
        }
        headers = {"ININ-Correlation-Id": context}
        return web.json_response(body, status=self.status, headers=headers)


FAULTS = (
    RemoteFault(500),
    RemoteFault(401),
    RemoteFault(429),
    RemoteFault(400, "ACTION.AUTHENTICATION", "INVALID_CREDENTIALS"),
)


async def remote_faults(size: Size) -> Proof:
    """Each fault in turn: workflows start, nothing is dead-lettered, voice comes when it heals."""
    async with open_lab(size) as lab:
        worker = lab.worker(("voice", "workflow"))
        await worker.start()
        await warm(lab)
        for fault in FAULTS:
            await one_fault(lab, worker, fault)
        return lab.proof


async def warm(lab: Lab) -> None:
    """Let the token be fetched: from here on, no one has a reason to speak of it."""
    await lab.until_done(lab.send(ended(lab.emulators), voice(lab.emulators)), 30)


async def one_fault(lab: Lab, worker: Worker, fault: RemoteFault) -> None:
    """Let the action answer so, send both kinds, heal it."""
    genesys, log = lab.emulators.genesys, len(worker.text())
    asked = genesys.counts["data_action"]
    genesys.fail_with("data_action", fault)
    voices = [voice(lab.emulators) for _ in range(VOICES)]
    lab.send(*voices)
    await lab.until(lambda: genesys.counts["data_action"] >= asked + 10, 10)
    await asyncio.sleep(RIPEN_SECONDS)
    calls = [ended(lab.emulators) for _ in range(WORKFLOWS)]
    ids = lab.send(*calls)
    await lab.until_done(ids, WORKFLOW_SECONDS)
    name, proof = fault.name, lab.proof
    proof.equal(f"{name}: workflows started in 15 s", len(lab.workflows_of(calls)), WORKFLOWS)
    proof.equal(f"{name}: dead letters", len(lab.dead_letters()), 0)
    words = [line for line in worker.text()[log:].splitlines() if "token" in line.lower()]
    said = words[:1] or [text for _, text in [await worker.page("/readyz")] if "token" in text]
    proof.holds(f"{name}: no word of a token", not said, said)
    genesys.heal("data_action")

    async def all_recorded() -> bool:
        return len(await lab.records_of(voices)) == VOICES

    healed = await lab.until(all_recorded, HEAL_SECONDS)
    proof.at_most(f"{name}: all {VOICES} records, s after it healed", healed, HEAL_SECONDS)


async def not_found(size: Size) -> Proof:
    """Remote 404: an answer. Plain 404: there is no such action, which is a setting."""
    async with open_lab(size) as lab:
        worker = lab.worker(("voice", "workflow"))
        await worker.start()
        await _remote_404(lab)
        await _plain_404(lab, worker)
        return lab.proof


async def _remote_404(lab: Lab) -> None:
    lab.emulators.genesys.fail_with("data_action", RemoteFault(404, code="not.found"))
    voices = [voice(lab.emulators) for _ in range(10)]
    await lab.until_done(lab.send(*voices), 20)
    records = await lab.records()
    tiers = [records.get(event.conversation_id, {}).get("crmTier", {}).get("S") for event in voices]
    lab.proof.equal("remote 404: records with tier unknown", tiers.count("unknown"), 10)
    lab.proof.equal("remote 404: dead letters", len(lab.dead_letters()), 0)
    lab.emulators.genesys.heal("data_action")


async def _plain_404(lab: Lab, worker: Worker) -> None:
    genesys, proof = lab.emulators.genesys, lab.proof
    before = len(lab.dead_letters())
    genesys.action_ids = set()
    voices = [voice(lab.emulators) for _ in range(20)]
    lab.send(*voices)
    proof.at_most("plain 404: not ready, after s", await worker.until("/readyz", 503, 15), 15)
    reported = (await worker.page("/readyz"))[1] + (await worker.page("/status"))[1]
    proof.holds("plain 404: GENESYS_ACTION_ID is named", "GENESYS_ACTION_ID" in reported, reported)
    calls = [ended(lab.emulators) for _ in range(5)]
    await lab.until_done(lab.send(*calls), WORKFLOW_SECONDS)
    proof.equal("plain 404: workflows started in 15 s", len(lab.workflows_of(calls)), 5)
    await asyncio.sleep(10)
    proof.equal("plain 404: dead letters", len(lab.dead_letters()) - before, 0)
    genesys.action_ids = None

    async def all_recorded() -> bool:
        return len(await lab.records_of(voices)) == len(voices)

    healed = await lab.until(all_recorded, 1.5 * HEAL_SECONDS)
    proof.at_most("plain 404: all records, s after it healed", healed, 1.5 * HEAL_SECONDS)
    proof.at_most("plain 404: ready again, after s", await worker.until("/readyz", 200, 30), 30)


PLAYS = {"remote_faults": remote_faults, "not_found": not_found}
