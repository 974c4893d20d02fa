"""A report whose days are too much for analytics takes nothing from live work."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import orjson
from aiohttp import web

from tests.isolation.emulators import DAY_MS, History, MadeUp, Request, error_body
from tests.isolation.lab import Lab, open_lab
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import report, started

NAME = "seven-days"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 7
"""Fewer would be too few failures to do any harm."""

PER_DAY = 240
LONGEST_SECONDS = 300
LIVE_SECONDS = 20
LIVE_SHARE = 95.0
HOUR = timedelta(hours=1)


def too_large(request: Request) -> web.Response | None:
    """Answer 504 to every query over more than an hour."""
    if request.method != "POST" or not request.path.endswith("/conversations/details/query"):
        return None
    first, _, last = orjson.loads(request.body)["interval"].partition("/")
    span = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    return error_body(504) if span > HOUR else None


async def report_slices(size: Size) -> Proof:
    """Ask for seven days; one conversation a second begins meanwhile."""
    async with open_lab(size) as lab:
        step = DAY_MS // PER_DAY
        made_up = MadeUp(size=DAYS * PER_DAY, first_ms=int(FIRST.timestamp() * 1000), step_ms=step)
        lab.emulators.genesys.history = History(made_up)
        lab.emulators.genesys.requests_per_minute = 300
        lab.tap.cuts["genesys"] = too_large
        worker = lab.worker(("attributes", "reports"), GENESYS_REQUESTS_PER_MINUTE=240)
        await worker.start()
        lab.send(report(NAME, FIRST, DAYS))
        await _live(lab)
        return lab.proof


async def _live(lab: Lab) -> None:
    began, ids, written = time.monotonic(), [], None
    while written is None and time.monotonic() - began < LONGEST_SECONDS:
        ids += await lab.stream(lambda: started(lab.emulators), every=1, seconds=5)
        if "manifest.json" in await lab.report_files(NAME):
            written = time.monotonic() - began
    await lab.until_done(ids, LIVE_SECONDS)
    await asyncio.sleep(0)
    in_time = sum(wait <= LIVE_SECONDS for wait in lab.waits(ids))
    proof = lab.proof
    proof.note("conversations that began meanwhile", len(ids))
    proof.at_least("% of them done within 20 s", 100 * in_time / len(ids), LIVE_SHARE)
    proof.at_most("report written, after s", written, LONGEST_SECONDS)
    proof.equal("dead letters", len(lab.dead_letters()), 0)


PLAYS = {"report_slices": report_slices}
