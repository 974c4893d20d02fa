"""What lies on a queue where it cannot be done is dead-lettered with the reason, never deleted."""

from dataclasses import replace

from tests.isolation.lab import Lab, failure_of, open_lab, origin_of
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import ended, started, voice

EVENTS = 10
SECONDS = 15
TYPO = {"GENESYS_ACTION_ID": None, "GENESYS_ACTIONID": "custom_-_1", "HANDLERS": None}
"""A half-configured voice job: its own setting is there under a name that is not its."""


async def wrong_queue(size: Size) -> Proof:
    """Swap the bindings' events; leave a call's end on the chats' queue."""
    async with open_lab(size) as lab:
        await lab.worker(("voice", "workflow", "sentiment")).start()
        swapped = [lab.send_to("workflow", voice(lab.emulators)) for _ in range(EVENTS)]
        swapped += [lab.send_to("voice", ended(lab.emulators)) for _ in range(EVENTS)]
        unwanted = [lab.send_to("sentiment", ended(lab.emulators)) for _ in range(EVENTS)]
        own = lab.send(*[make(lab.emulators) for make in (voice, ended) for _ in range(EVENTS)])
        await lab.until_done([*swapped, *unwanted, *own], SECONDS)
        proof = lab.proof
        _dead_lettered(lab, "another job's events", swapped, ())
        proof.equal("calls on the chats' queue: skipped", len(lab.done(unwanted)), EVENTS)
        proof.equal("their own events: done", len(lab.done(own)), 2 * EVENTS)
        return proof


async def half_configured(size: Size) -> Proof:
    """One queue for all, a misspelt setting of voice, nothing of attributes."""
    async with open_lab(replace(size, bound=False)) as lab:
        nothing = {"GENESYS_FLOW_ID": None, "CRM_API_ENDPOINT": None}
        nothing |= {"ANALYTICS_WEBHOOK_URL": None}
        worker = lab.worker(**TYPO, **nothing)
        await worker.start()
        voices = lab.send(*[voice(lab.emulators) for _ in range(EVENTS)])
        calls = lab.send(*[ended(lab.emulators) for _ in range(EVENTS)])
        unused = lab.send(*[started(lab.emulators) for _ in range(EVENTS)])
        await lab.until_done([*voices, *calls, *unused], SECONDS)
        proof = lab.proof
        _dead_lettered(lab, "voice", voices, ("GENESYS_ACTION_ID", "GENESYS_ACTIONID"))
        proof.equal("workflow: done", len(lab.done(calls)), EVENTS)
        proof.equal("attributes, of which nothing is set: dropped", len(lab.done(unused)), EVENTS)
        warned = [line for line in worker.lines() if line.get("level") == "warning"]
        of_typo = [line for line in warned if "GENESYS_ACTIONID" in str(line)]
        of_unrouted = [line for line in warned if "customer.start" in str(line)]
        proof.holds("the start warns of the misspelt name", of_typo)
        proof.holds("what is not routed is warned of", of_unrouted)
        return proof


async def bound_to_a_job_that_is_off(size: Size) -> Proof:
    """Bind a queue to the half-configured job: the start ends, and says why."""
    async with open_lab(size) as lab:
        worker = lab.worker(("voice", "workflow"), **TYPO)
        await worker.start(until_ready=False)
        took = await worker.ended(20)
        proof = lab.proof
        proof.at_most("ended, after s", took, 20)
        proof.equal("exit code", worker.returncode, 2)
        names = ("GENESYS_ACTION_ID", "GENESYS_ACTIONID", "voice")
        missing = [name for name in names if name not in worker.text()]
        proof.holds("setting, near name and job are named", not missing, missing)
        return proof


def _dead_lettered(lab: Lab, figure: str, ids: list[str], names: tuple[str, ...]) -> None:
    reasons = [
        failure_of(one).get("reason", "") for one in lab.dead_letters() if origin_of(one) in ids
    ]
    good = [reason for reason in reasons if reason and all(name in reason for name in names)]
    lab.proof.equal(f"{figure}: dead-lettered with the reason", len(good), len(ids))
    lab.proof.note(f"{figure}: as", sorted(set(reasons))[:2])


PLAYS = {
    "wrong_queue": wrong_queue,
    "half_configured": half_configured,
    "bound_to_a_job_that_is_off": bound_to_a_job_that_is_off,
}
