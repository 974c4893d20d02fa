"""What may be missed is missed: remembered customers and degraded records go on without it."""

import asyncio
from collections import Counter

from tests.isolation.lab import Lab, open_lab
from tests.isolation.process import Worker
from tests.isolation.proof import Proof
from tests.isolation.scenarios.data_action import RemoteFault
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event, attributes_of, ended, new_phone, started, voice

CUSTOMERS = 20
WRITTEN_SECONDS = 30
SOFT_SECONDS = 1
DEGRADE_SECONDS = 3
HEAL_SECONDS = 60


async def remembered_customers(size: Size) -> Proof:
    """Voice: the CRM behind the data action down, then all of Genesys with its login."""
    async with open_lab(size) as lab:
        worker = lab.worker(("voice",), CACHE_SOFT_TTL_SECONDS=SOFT_SECONDS)
        await worker.start()
        phones = [new_phone() for _ in range(CUSTOMERS)]
        await lab.until_done(lab.send(*[voice(lab.emulators, phone=one) for one in phones]), 30)
        for name, down in (("the data action's CRM", _action_down), ("all of Genesys", _all_down)):
            await asyncio.sleep(1.5 * SOFT_SECONDS)  # what is remembered is stale by then
            down(lab)
            events = [voice(lab.emulators, phone=one) for one in phones]
            await _written(lab, events, f"{name} down: stale records in 30 s", "stale")
        lab.proof.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.proof


async def remembered_by_phone(size: Size) -> Proof:
    """Attributes, CRM_CACHE_BY=phone: the CRM down."""
    async with open_lab(size) as lab:
        settings = {"CACHE_SOFT_TTL_SECONDS": SOFT_SECONDS, "CRM_CACHE_BY": "phone"}
        await lab.worker(("attributes",), **settings).start()
        phones = [new_phone() for _ in range(CUSTOMERS)]
        for phone in phones:
            lab.emulators.crm.by_phone[phone] = {"accountId": phone, "tier": "gold"}
        first = [started(lab.emulators, phone=one, known=False) for one in phones]
        await lab.until_done(lab.send(*first), 30)
        _have(lab, first, "CRM up: attributes written")
        await asyncio.sleep(1.5 * SOFT_SECONDS)
        lab.emulators.crm.status = 503
        second = [started(lab.emulators, phone=one, known=False) for one in phones]
        await lab.until_done(lab.send(*second), WRITTEN_SECONDS)
        _have(lab, second, "CRM down: attributes written in 30 s")
        lab.proof.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.proof


async def degraded_records(size: Size) -> Proof:
    """Voice, VOICE_DEGRADE_AFTER_SECONDS: the CRM down; then a new process without any Genesys."""
    async with open_lab(size) as lab:
        settings = {"VOICE_DEGRADE_AFTER_SECONDS": DEGRADE_SECONDS}
        worker = lab.worker(("voice",), **settings)
        await worker.start()
        _action_down(lab)
        events = [voice(lab.emulators) for _ in range(CUSTOMERS)]
        await _written(lab, events, "CRM down: degraded records in 30 s", "degraded")
        await worker.stop()
        _all_down(lab)
        await lab.worker(("voice",), "second", **settings).start(until_ready=False)
        events = [voice(lab.emulators) for _ in range(CUSTOMERS)]
        await _written(lab, events, "no Genesys at start: degraded records in 30 s", "degraded")
        lab.proof.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.proof


async def refused_credentials(size: Size) -> Proof:
    """Refused from the start on: voice may miss Genesys, workflows wait; both heal."""
    async with open_lab(size) as lab:
        lab.emulators.genesys.reject_client = True
        worker = lab.worker(("voice", "workflow"), VOICE_DEGRADE_AFTER_SECONDS=DEGRADE_SECONDS)
        await worker.start(until_ready=False)
        calls = [ended(lab.emulators) for _ in range(CUSTOMERS)]
        ids = lab.send(*calls)
        events = [voice(lab.emulators) for _ in range(CUSTOMERS)]
        await _written(lab, events, "voice: degraded records in 30 s", "degraded")
        await _is_named(lab, worker)
        lab.proof.equal("workflows meanwhile", len(lab.workflows_of(calls)), 0)
        lab.emulators.genesys.reject_client = False
        took = await lab.until_done(ids, HEAL_SECONDS)
        lab.proof.at_most("all workflows, s after it healed", took, HEAL_SECONDS)
        ready = await worker.until("/readyz", 200, 30)
        lab.proof.at_most("ready again, s after that", ready, 30)
        lab.proof.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.proof


async def _is_named(lab: Lab, worker: Worker) -> None:
    code, text = await worker.page("/readyz")
    lab.proof.equal("/readyz", code, 503)
    reported = text + (await worker.page("/status"))[1]
    named = "GENESYS_CLIENT_ID" in reported or "GENESYS_CLIENT_SECRET" in reported
    lab.proof.holds("the credentials' setting is named", named, text.strip())


async def _written(lab: Lab, events: list[Event], figure: str, status: str) -> None:
    await lab.until_done(lab.send(*events), WRITTEN_SECONDS)
    records = await lab.records()
    found = Counter(
        records.get(event.conversation_id, {}).get("enrichmentStatus", {}).get("S", "none")
        for event in events
    )
    lab.proof.equal(figure, found[status], len(events))
    if found[status] != len(events):
        lab.proof.note("  they are", dict(found))


def _have(lab: Lab, events: list[Event], figure: str) -> None:
    right = [attributes_of(lab.emulators, one).get("accountId") == one.phone for one in events]
    lab.proof.equal(figure, sum(right), len(events))


def _action_down(lab: Lab) -> None:
    lab.emulators.genesys.fail_with("data_action", RemoteFault(500))


def _all_down(lab: Lab) -> None:
    lab.tap.cuts["genesys"] = lambda _: 503
    lab.emulators.genesys.fail_with("token", 503)
    lab.emulators.genesys.revoke_tokens()


PLAYS = {
    "remembered_customers": remembered_customers,
    "remembered_by_phone": remembered_by_phone,
    "degraded_records": degraded_records,
    "refused_credentials": refused_credentials,
}
