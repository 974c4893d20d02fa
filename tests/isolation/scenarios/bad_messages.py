"""Messages whose own look-up always fails hold up nobody but themselves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from tests.isolation.emulators import Request, Stage, error_body
from tests.isolation.lab import Lab, failure_of, open_lab, origin_of
from tests.isolation.sizes import Size
from tests.isolation.traffic import Event, chat, ended, started, voice
from tests.isolation.verdict import Verdict

HEALTHY = 39
HEALTHY_SECONDS = 60
OWN_FAILURES = 8
END_SECONDS = 45
"""Beyond the horizon: by then the bad one has come back and failed once more."""

BAD_CALLERS = 5


@dataclass
class Marks:
    """Look-ups that fail, by what is found in the request; all others are answered."""

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
    make: Callable[[Stage], Event]
    answer: Callable[[], web.Response] = _500

    def mark(self, event: Event) -> str:
        """Return what its requests hold and no others do."""
        return event.phone if event.job == "voice" else event.conversation_id


ROUNDS = (
    (
        Kind("analytics 500", "genesys", ended),
        Kind("webhook 500", "crm", chat),
        Kind("conversation 500", "genesys", started),
        Kind("data action 500", "genesys", voice),
    ),
    (
        Kind("analytics []", "genesys", ended, _list),
        Kind("conversation []", "genesys", started, _list),
        Kind("data action []", "genesys", voice, _list),
    ),
)


async def one_bad(size: Size) -> Verdict:
    """One bad message on each queue, alone for a minute; then healthy ones."""
    verdict = Verdict()
    for kinds in ROUNDS:
        async with open_lab(size) as lab:
            await _round(lab, kinds)
        verdict.rows += lab.verdict.rows
    return verdict


async def _round(lab: Lab, kinds: tuple[Kind, ...]) -> None:
    alone = lab.size.minutes(1, 1 / 3)
    horizon = alone + 40
    await lab.worker(
        RETRY_BASE_SECONDS=1, RETRY_CAP_SECONDS=8, RETRY_HORIZON_SECONDS=horizon
    ).start()
    marks = {name: Marks() for name in ("genesys", "crm")}
    lab.tap.cuts |= marks
    bad = {}
    for kind in kinds:
        event = kind.make(lab.stage)
        marks[kind.upstream].marks[kind.mark(event)] = kind.answer
        [bad[kind.name]] = lab.send(event)
    await asyncio.sleep(alone)
    healthy = {
        kind.name: lab.send(*[kind.make(lab.stage) for _ in range(HEALTHY)]) for kind in kinds
    }
    await lab.until_done([one for ids in healthy.values() for one in ids], HEALTHY_SECONDS)
    for name, ids in healthy.items():
        lab.verdict.equal(f"{name}: healthy done in 60 s", len(lab.done(ids)), HEALTHY)
        lab.verdict.at_most(f"{name}: longest healthy wait, s", max(lab.waits(ids)), 60)
    await _ends(lab, bad, horizon)


async def _ends(lab: Lab, bad: dict[str, str], horizon: float) -> None:
    """See every bad message dead-lettered past the horizon, after eight failures of its own."""
    began = min(lab.sent_at[one] for one in bad.values())
    left = began + horizon + END_SECONDS - max(lab.sent_at.values())
    await lab.until(
        lambda: set(bad.values()) <= set(lab.dead_ids()), max(left, 1) + HEALTHY_SECONDS
    )
    letters = {origin_of(letter): letter for letter in lab.dead_letters()}
    for name, message_id in bad.items():
        letter = letters.pop(message_id, None)
        if letter is None:
            lab.verdict.at_most(f"{name}: dead-lettered at age, s", None, horizon + END_SECONDS)
            continue
        age = letter.sent_at_milliseconds / 1000 - lab.sent_at[message_id]
        lab.verdict.at_most(f"{name}: dead-lettered at age, s", age, horizon + END_SECONDS)
        lab.verdict.at_least(f"{name}: not before its horizon, s", age, horizon - 1)
        attempts = failure_of(letter).get("attempts", 0)
        lab.verdict.at_least(f"{name}: failures before that", attempts, OWN_FAILURES)
    lab.verdict.equal("other dead letters", len(letters), 0)


async def bad_callers(size: Size) -> Verdict:
    """Five bad callers, and one healthy message every two seconds, on two queues."""
    async with open_lab(size) as lab:
        await lab.worker(("voice", "workflow"), RETRY_BASE_SECONDS=None).start()
        marks = Marks()
        lab.tap.cuts["genesys"] = marks
        for make in (ended, voice):
            for _ in range(BAD_CALLERS):
                event = make(lab.stage)
                marks.marks[event.phone or event.conversation_id] = _500
                lab.send(event)
        seconds = size.minutes(10, 2)
        streams = [
            lab.stream(lambda make=make: make(lab.stage), every=2, seconds=seconds)
            for make in (ended, voice)
        ]
        sent = dict(zip(("workflow", "voice"), await asyncio.gather(*streams), strict=True))
        await lab.until_done([one for ids in sent.values() for one in ids], HEALTHY_SECONDS)
        for job, ids in sent.items():
            lab.verdict.equal(f"{job}: healthy done", len(lab.done(ids)), len(ids))
            lab.verdict.at_most(f"{job}: longest healthy wait, s", max(lab.waits(ids)), 60)
        lab.verdict.equal("dead letters", len(lab.dead_letters()), 0)
        return lab.verdict


PLAYS = {"one_bad": one_bad, "bad_callers": bad_callers}
