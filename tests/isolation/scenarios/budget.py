"""An exhausted request budget slows the intake: what cannot be served is not received."""

import asyncio

from tests.isolation.lab import open_lab
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import voice

EVENTS = 600
PER_MINUTE = 60
SECONDS = 100
MOST_RECEIVES = 2
NEVER_SHARE = 60.0


async def budget(size: Size) -> Proof:
    """Give one process ten minutes' worth of requests."""
    async with open_lab(size) as lab:
        lab.emulators.genesys.requests_per_minute = None
        await lab.worker(("voice",), GENESYS_REQUESTS_PER_MINUTE=PER_MINUTE).start()
        ids = lab.send(*[voice(lab.emulators) for _ in range(EVENTS)])
        await asyncio.sleep(SECONDS)
        receives = lab.receives(ids)
        proof = lab.proof
        proof.note("done after 100 s", len(lab.done(ids)))
        proof.at_least("at least a minute's budget was used", len(lab.done(ids)), PER_MINUTE)
        proof.at_most("most receives of a message", max(receives), MOST_RECEIVES)
        share = 100 * receives.count(0) / EVENTS
        proof.at_least("% never received", share, NEVER_SHARE)
        proof.equal("dead letters", len(lab.dead_letters()), 0)
        return proof


PLAYS = {"budget": budget}
