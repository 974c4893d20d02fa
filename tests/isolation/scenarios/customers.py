"""Two callers of one number: to each conversation its own customer's attributes, and no other's."""

import asyncio

from tests.isolation.lab import Lab, open_lab
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event, attributes_of, new_phone, started

DONE_SECONDS = 20
DOWN_MINUTES = (1 / 3, 1 / 12)


async def two_callers(size: Size) -> Proof:
    """Two conversations with the CRM up, a third while it is down; one that it does not know."""
    async with open_lab(size) as lab:
        await lab.worker(("attributes",), CACHE_SOFT_TTL_SECONDS=1).start()
        phone = new_phone()
        pair = [await _settled(lab, _caller(lab, phone, account)) for account in ("A-1", "A-2")]
        for event, account in zip(pair, ("A-1", "A-2"), strict=True):
            _has(lab, f"CRM up, customer {account}", event, account)
        await _crm_down(lab, phone)
        await _unknown_first(lab)
        lab.proof.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.proof


def _caller(lab: Lab, phone: str, account: str) -> Event:
    return started(lab.emulators, phone=phone, record={"accountId": account, "tier": "gold"})


async def _settled(lab: Lab, event: Event) -> Event:
    await lab.until_done(lab.send(event), DONE_SECONDS)
    return event


async def _crm_down(lab: Lab, phone: str) -> None:
    """With the CRM down, the third one gets no one's attributes; with the CRM back, its own."""
    lab.emulators.crm.status = 503
    third = _caller(lab, phone, "A-3")
    ids = lab.send(third)
    await asyncio.sleep(lab.size.minutes(*DOWN_MINUTES))
    _has(lab, "CRM down, nothing of another's", third, None)
    lab.emulators.crm.status = 200
    await lab.until_done(ids, 60)
    _has(lab, "CRM back, its own", third, "A-3")


async def _unknown_first(lab: Lab) -> None:
    """A 404 for the first caller says nothing about the second."""
    phone = new_phone()
    await _settled(lab, started(lab.emulators, phone=phone, known=False))
    second = await _settled(lab, _caller(lab, phone, "A-5"))
    _has(lab, "after an unknown caller of that number", second, "A-5")


def _has(lab: Lab, figure: str, event: Event, account: str | None) -> None:
    lab.proof.equal(figure, attributes_of(lab.emulators, event).get("accountId"), account)


PLAYS = {"two_callers": two_callers}
