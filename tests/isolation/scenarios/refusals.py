"""What SQS refuses is said; what an upstream asks for is obeyed up to a cap, and said."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.isolation.emulators import ACCESS_DENIED, Request
from tests.isolation.lab import Lab, open_lab
from tests.isolation.process import Worker
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import chat, started, voice

SAID_SECONDS = 30
CAP_SECONDS = 20
EVENTS = 30
ON_THEIR_WAY_SECONDS = 3
"""Calls that were begun before the first refusal was read."""

AFTER_CAP_SECONDS = 12
HEAL_SECONDS = CAP_SECONDS + 20
YEAR = "31536000"
YEAR_9999 = "Fri, 31 Dec 9999 23:59:59 GMT"
PAUSE = re.compile("pause|retry.after|limited|exhausted", re.IGNORECASE)


async def deletes_denied(size: Size) -> Proof:
    """Deny every delete."""
    async with open_lab(size) as lab:
        worker = lab.worker(("voice",))
        await worker.start()
        for action in ("DeleteMessage", "DeleteMessageBatch"):
            lab.emulators.sqs.faults.add(action, ACCESS_DENIED)
        ids = lab.send(*[voice(lab.emulators) for _ in range(20)])

        async def said() -> bool:
            text = (await worker.page("/status"))[1]
            return "DeleteMessage" in text and bool(re.search("denied", text, re.IGNORECASE))

        proof = lab.proof
        named = await lab.until(said, SAID_SECONDS)
        proof.at_most("/status names DeleteMessage and the denial, s", named, SAID_SECONDS)
        left = max(0.1, SAID_SECONDS - (named or SAID_SECONDS))
        unready = await worker.until("/readyz", 503, left)
        proof.holds("/readyz is 503 within 30 s", unready is not None)
        proof.note("/readyz", (await worker.page("/readyz"))[1].strip())
        lab.emulators.sqs.faults.clear()
        proof.at_most("all deleted once they may be, s", await lab.until_done(ids, 60), 60)
        proof.at_most("ready again, s", await worker.until("/readyz", 200, 60), 60)
        return proof


@dataclass
class Calls:
    """When an upstream was called: its counter, watched."""

    count: Callable[[], int]
    at: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        """Note every call, for ever."""
        while True:
            while len(self.at) < self.count():
                self.at.append(time.monotonic())
            await asyncio.sleep(0.02)

    def between(self, first: float, last: float) -> int:
        """Return how many came in a span, in seconds since the first of all."""
        return sum(first <= moment - self.at[0] < last for moment in self.at)


async def long_pauses(size: Size) -> Proof:
    """Let the CRM ask for a year, and a webhook for the rest of four digits."""
    async with open_lab(size) as lab:
        worker = lab.worker(("attributes", "sentiment"), RETRY_AFTER_CAP_SECONDS=CAP_SECONDS)
        await worker.start()
        crm, hook = lab.emulators.crm, lab.emulators.sinks["crm"]
        crm.status, crm.retry_after = 429, YEAR
        hook.status, hook.retry_after = 429, YEAR_9999
        lab.tap.cuts["crm"] = lambda request: _refused(lab, request)
        watched = {
            "crm": Calls(lambda: sum(crm.counts.values())),
            "crm_webhook": Calls(lambda: lab.tap.refused),
        }
        ids = lab.send(*[make(lab.emulators) for make in (started, chat) for _ in range(EVENTS)])
        await _paused(lab, worker, watched)
        crm.status, crm.retry_after = 200, None
        hook.status, hook.retry_after = 204, None
        del lab.tap.cuts["crm"]
        await _heals(lab, ids)
        return lab.proof


def _refused(lab: Lab, _: Request) -> web.Response:
    hook = lab.emulators.sinks["crm"]
    return web.Response(status=hook.status, headers={"Retry-After": hook.retry_after or "0"})


async def long_rate_limits(size: Size) -> Proof:
    """Let Genesys itself answer 429 with both: its budget is shared by all of its upstreams."""
    proof = Proof()
    for asked in (YEAR, YEAR_9999):
        async with open_lab(size) as lab:
            worker = lab.worker(("attributes",), RETRY_AFTER_CAP_SECONDS=CAP_SECONDS)
            await worker.start()
            genesys = lab.emulators.genesys
            genesys.fail_with("conversation", 429, retry_after=asked)
            genesys.fail_with("attributes", 429, retry_after=asked)
            calls = Calls(
                lambda counts=genesys.counts: counts["conversation"] + counts["attributes"]
            )
            ids = lab.send(*[started(lab.emulators) for _ in range(EVENTS)])
            await _paused(lab, worker, {"genesys|conversations|rate_limited|budget": calls})
            genesys.heal("conversation")
            genesys.heal("attributes")
            await _heals(lab, ids)
            proof.rows += [
                row._replace(figure=f"{asked[:8]}: {row.figure}") for row in lab.proof.rows
            ]
    return proof


async def _paused(lab: Lab, worker: Worker, watched: dict[str, Calls]) -> None:
    """Watch the calls from the first refusal until one has tried again after the cap."""
    tasks = [asyncio.create_task(calls.watch()) for calls in watched.values()]
    named, hidden = dict.fromkeys(watched, ""), 0.0
    try:
        await lab.until(lambda: all(calls.at for calls in watched.values()), 20)
        end = time.monotonic() + CAP_SECONDS + AFTER_CAP_SECONDS
        while time.monotonic() < end:
            status = await worker.status()
            for name in watched:
                named[name] = named[name] or pause_reported(status, name)
            hidden = max(hidden, _longest_hidden(lab))
            await asyncio.sleep(0.25)
    finally:
        for task in tasks:
            task.cancel()
    for name, calls in watched.items():
        _check_limits(lab, name, calls, named[name])
    lab.proof.at_most("longest a message was hidden or leased, s", hidden, 30 + 2)


def _check_limits(lab: Lab, name: str, calls: Calls, reported: str) -> None:
    proof, short = lab.proof, name.partition("|")[0]
    proof.holds(f"{short}: the pause is named in /status", reported, "it is not")
    proof.note(f"{short}: as", reported[:120])
    if not calls.at:
        proof.holds(f"{short}: was called", held=False)
        return
    quiet = calls.between(ON_THEIR_WAY_SECONDS, CAP_SECONDS - 1)
    proof.equal(f"{short}: calls during the pause", quiet, 0)
    after = calls.between(CAP_SECONDS - 1, CAP_SECONDS + AFTER_CAP_SECONDS)
    proof.equal(f"{short}: calls after the cap", after, 1)


def _longest_hidden(lab: Lab) -> float:
    now = asyncio.get_running_loop().time()
    urls = set(lab.queues.values())
    until = [m.hidden_until or now for url in urls for m in lab.emulators.sqs.messages(url)]
    return max(until, default=now) - now


def pause_reported(status: dict[str, Any], upstream: str) -> str:
    """Return the line of /status that speaks of an upstream's pause; empty when none does."""
    words = re.compile(upstream, re.IGNORECASE)
    for line in leaves(status):
        if words.search(line) and PAUSE.search(line):
            return line
    return ""


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Return every value that says something, with the way to it."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from leaves(entry, f"{path}.{name}")
    elif isinstance(value, list):
        for entry in value:
            yield from leaves(entry, path)
    elif value:
        yield f"{path}: {value}"


async def _heals(lab: Lab, ids: list[str]) -> None:
    took = await lab.until_done(ids, HEAL_SECONDS)
    lab.proof.at_most("all done, s after it healed", took, HEAL_SECONDS)
    lab.proof.equal("dead letters", len(lab.dead_letters()), 0)


PLAYS = {
    "deletes_denied": deletes_denied,
    "long_pauses": long_pauses,
    "long_rate_limits": long_rate_limits,
}
