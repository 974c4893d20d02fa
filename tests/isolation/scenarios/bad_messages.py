"""Messages whose own lookup always fails hold up no other message."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from tests.isolation.emulators import Environment, Request, error_body
from tests.isolation.lab import Lab, failure_of, open_lab, origin_of
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event, chat, ended, started_unnamed, voice

HEALTHY = 39
HEALTHY_SECONDS = 60
OWN_FAILURES = 8
END_SECONDS = 45
"""Beyond the horizon: by then the bad one has come back and failed once more."""

BAD_CALLERS = 5


@dataclass
class Marks:
    """Lookups that fail, by what is found in the request; all others are answered."""

    marks: dict[str, Callable[[], web.Response]] = field(default_factory=dict)

    def __call__(self, request: Request) -> web.Response | None:
        """Be the cut of a wire."""
        for mark, answer in self.marks.items():
            if mark in request.path or mark.encode() in request.body:
                return answer()
        return None


def _500() -> web.Response:
    return error_body(500)


def _list() -> web.Response:
    return web.json_response([])


@dataclass(frozen=True, slots=True)
class Kind:
    """A way for one message to fail."""

    name: str
    upstream: str
    make: Callable[[Environment], Event]
    answer: Callable[[], web.Response] = _500

    def mark(self, event: Event) -> str:
        """Return what its requests hold and no others do."""
        return event.phone if event.job == "voice" else event.conversation_id


KINDS = (
    Kind("analytics_500", "genesys", ended),
    Kind("analytics_list", "genesys", ended, _list),
    Kind("conversation_500", "genesys", started_unnamed),
    Kind("conversation_list", "genesys", started_unnamed, _list),
    Kind("data_action_500", "genesys", voice),
    Kind("data_action_list", "genesys", voice, _list),
    Kind("webhook_500", "crm", chat),
)
"""Each plays alone: beside others their successes would hide what one failure does."""


async def one_bad(kind: Kind, size: Size) -> Proof:
    """One bad message, alone for a minute; then healthy ones."""
    alone = size.minutes(1, 1 / 3)
    horizon = alone + 40
    async with open_lab(size) as lab:
        bad = kind.make(lab.emulators)
        settings = {
            "RETRY_BASE_SECONDS": 1,
            "RETRY_CAP_SECONDS": 8,
            "RETRY_HORIZON_SECONDS": horizon,
        }
        await lab.worker((bad.job,), **settings).start()
        lab.tap.cuts[kind.upstream] = Marks({kind.mark(bad): kind.answer})
        [bad_id] = lab.send(bad)
        await asyncio.sleep(alone)
        ids = lab.send(*[kind.make(lab.emulators) for _ in range(HEALTHY)])
        await lab.until_done(ids, HEALTHY_SECONDS)
        lab.proof.equal("healthy done in 60 s", len(lab.done(ids)), HEALTHY)
        lab.proof.at_most("longest healthy wait, s", max(lab.waits(ids)), HEALTHY_SECONDS)
        await _ends(lab, bad_id, horizon)
        return lab.proof


async def _ends(lab: Lab, bad: str, horizon: float) -> None:
    """See the bad one dead-lettered past the horizon, after eight failures of its own."""
    limit = horizon + END_SECONDS
    left = lab.sent_at[bad] + limit - time.time()
    await lab.until(lambda: bad in lab.dead_ids(), max(left, 1))
    dead_letters = {origin_of(dead_letter): dead_letter for dead_letter in lab.dead_letters()}
    proof, dead_letter = lab.proof, dead_letters.pop(bad, None)
    age = dead_letter.sent_at_milliseconds / 1000 - lab.sent_at[bad] if dead_letter else None
    proof.at_most("the bad one is dead-lettered at age, s", age, limit)
    proof.equal("other dead letters", len(dead_letters), 0)
    if dead_letter is None or age is None:
        return
    proof.at_least("not before its horizon, s", age, horizon - 1)
    attempts = failure_of(dead_letter).get("attempts", 0)
    proof.at_least("its failures before that", attempts, OWN_FAILURES)


async def bad_callers(size: Size) -> Proof:
    """Five bad callers, and one healthy message every two seconds, on two queues."""
    async with open_lab(size) as lab:
        product = dict.fromkeys(("RETRY_BASE_SECONDS", "RETRY_CAP_SECONDS"))
        await lab.worker(("voice", "workflow"), **product).start()
        marks = Marks()
        lab.tap.cuts["genesys"] = marks
        for make in (ended, voice):
            for _ in range(BAD_CALLERS):
                event = make(lab.emulators)
                marks.marks[event.phone or event.conversation_id] = _500
                lab.send(event)
        seconds = size.minutes(10, 2)
        streams = [
            lab.stream(lambda make=make: make(lab.emulators), every=2, seconds=seconds)
            for make in (ended, voice)
        ]
        sent = dict(zip(("workflow", "voice"), await asyncio.gather(*streams), strict=True))
        await lab.until_done([one for ids in sent.values() for one in ids], HEALTHY_SECONDS)
        for job, ids in sent.items():
            lab.proof.equal(f"{job}: healthy done", len(lab.done(ids)), len(ids))
            lab.proof.at_most(f"{job}: longest healthy wait, s", max(lab.waits(ids)), 60)
        lab.proof.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.proof


PLAYS = {
    **{f"one_bad_{kind.name}": partial(one_bad, kind) for kind in KINDS},
    "bad_callers": bad_callers,
}
