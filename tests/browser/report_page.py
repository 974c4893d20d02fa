"""The report's page in a real browser: `python -m tests.browser.report_page [FOLDER]`.

Renders a day and a month at the width of a screen and a phone, light, dark and on paper. Fails on
an error of the console, on a request, on a table that does not sort, on a page wider than its
window, on a chart that is cut or too small to read, on a figure off the screen, on cards and bars
that disagree, and on a link that does not give its file. The pictures are kept in
FOLDER (.ci-logs). Exit code 0 means well; 2 that there is no Chromium.
"""

import asyncio
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from tests.browser.chromium import SCHEMES, TOO_WIDE, WIDTHS, Page, check_page, chromium
from tests.support.genesys import DAY_MS, HOUR_MS, NOW, a_day, a_row
from worker.clients.genesys.filters import Condition
from worker.jobs.reports.figures import Aggregate
from worker.jobs.reports.files import File, files_of
from worker.jobs.reports.report import Report, previous_of, report_of, span_before

NAMES = ("Billing", "Orders & returns", "Technical support", "Errors <escalated>")
CODES = ("Resolved", "Callback agreed", "Escalated", "Refund", "Wrong number")
SORTED = """(() => {
  const heads = [...document.querySelectorAll("th button")];
  heads[2].click(); heads[2].click();
  const cells = [...document.querySelectorAll("tbody tr")].map(r => +r.cells[2].dataset.value);
  return cells.every((value, place) => place === 0 || cells[place - 1] <= value);
})()"""

CUT = """(() => {
  const shown = [...document.querySelectorAll("svg[role=img]")]
    .filter(s => s.getClientRects().length);
  const screen = document.documentElement.clientWidth;
  const outside = box => box.left < -0.5 || box.right > screen + 0.5;
  const cut = shown.filter(s => outside(s.getBoundingClientRect()) ||
    [...s.querySelectorAll("text")].some(t => outside(t.getBoundingClientRect())));
  const small = shown.filter(s => [...s.querySelectorAll("text")].some(t =>
    parseFloat(getComputedStyle(t).fontSize) * s.getBoundingClientRect().width /
      s.viewBox.baseVal.width < 9));
  return [...cut.map(s => `cut: ${s.ariaLabel}`), ...small.map(s => `tiny: ${s.ariaLabel}`)];
})()"""
OFF_SCREEN = """[...document.querySelectorAll("td[data-label], .card dd")].filter(cell => {
  const box = cell.getBoundingClientRect();
  return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth);
}).length"""
DISAGREE = """(() => {
  const shown = name => [...document.querySelectorAll("svg[role=img] title")]
    .map(t => t.textContent).filter(t => t.startsWith(name + ": ")).map(t => t.slice(6));
  const card = label => [...document.querySelectorAll(".card")]
    .find(c => c.querySelector("dt").textContent === label)?.querySelector("dd").textContent;
  const foot = label => document.querySelector(`tfoot td[data-label="${label}"] span`)
    ?.firstChild.textContent;
  return [["talk", "Talk"], ["hold", "Hold"]].filter(([name, label]) =>
    card(label) && new Set([...shown(name), card(label), foot(label)]).size !== 1);
})()"""


def queue_of(place: int) -> str:
    """Return an id as Genesys has them."""
    return f"9e000000-0000-4000-8000-{place:012}"


def a_report(days: int) -> Report:
    """Office hours on weekdays, four queues, three media types."""
    inbound = Condition("originatingDirection", ("inbound",))
    start = datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    due = a_day(
        start=start.astimezone(UTC),
        end=(start + timedelta(days=days)).astimezone(UTC),
        filters=(inbound,),
        timezone="Europe/Berlin",
    )
    before = previous_of(span_before(due), counted(days, Random(0)))
    return report_of(due, counted(days, Random(days)), NOW, before)


def counted(days: int, random: Random) -> Aggregate:
    """Make up conversations."""
    aggregate = Aggregate(a_day().group_by)
    for _ in range(4_000 * days):
        day, hour = random.randrange(days), min(23.9, max(0, random.gauss(13, 3.5)))
        if (day + 6) % 7 > 4 and random.random() < 0.75:
            continue
        queue = random.choices(range(4), (5, 3, 2, 1))[0]
        duration = int(random.lognormvariate(12.2 + queue * 0.2, 0.7))
        talk = int(duration * random.uniform(0.45, 0.8))
        aggregate.add(
            a_row(
                start_ms=DAY_MS + int((day * 24 + hour - 1) * HOUR_MS),
                duration_ms=None if random.random() < 0.002 else duration,
                talk_ms=talk,
                hold_ms=int((duration - talk) * random.uniform(0, 0.15 + 0.15 * queue)),
                media_type=random.choices(("voice", "message", "callback"), (6, 3, 1))[0],
                queue_id=queue_of(queue),
                wrapup_codes=(random.choice(CODES),),
            )
        )
    return aggregate


async def look(page: Page, path: Path, files: list[File], folder: Path) -> list[str]:
    """Open one page in every way; return what is wrong."""
    await page.open(path.as_uri())
    problems = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            picture = await page.screenshot(width, scheme=scheme)
            kept = folder / f"{path.stem}-{width}-{scheme}.png"
            await asyncio.to_thread(kept.write_bytes, picture)
        problems += [f"{path.stem} at {width}: {one}" for one in await wrong_on(page)]
    if await page.value("document.querySelectorAll('th button').length > 2 && !" + SORTED):
        problems.append(f"{path.stem}: the table does not sort")
    paper = await page.ask("Page.printToPDF", printBackground=True)
    await asyncio.to_thread((folder / f"{path.stem}.pdf").write_bytes, b64decode(paper["data"]))
    problems += [f"{path.stem}: asks for {url[:60]}" for url in strangers(page, path)]
    return problems + page.errors + [one async for one in downloads(page, files, folder)]


async def wrong_on(page: Page) -> list[str]:
    """Return what is wrong at the present width."""
    found: list[str] = list(await page.value(CUT))
    if await page.value(TOO_WIDE):
        found.append("wider than the window")
    if hidden := await page.value(OFF_SCREEN):
        found.append(f"{hidden} figures are off the screen")
    return found + [f"cards and bars disagree: {one[1]}" for one in await page.value(DISAGREE)]


def strangers(page: Page, path: Path) -> list[str]:
    """Return the addresses that it asked besides its own."""
    return [url for url in page.requests if url != path.as_uri() and not url.startswith("data:")]


async def downloads(page: Page, files: list[File], folder: Path) -> AsyncIterator[str]:
    """Click the links and compare what is saved with the files."""
    saved = folder / "downloads"
    for number, file in enumerate(files[:2]):
        shutil.rmtree(saved, ignore_errors=True)
        behaviour = {"behavior": "allow", "downloadPath": str(saved)}
        await page.ask("Browser.setDownloadBehavior", **behaviour)
        await page.value(f"document.querySelectorAll('.links a')[{number}].click()")
        if await content_of(saved) != file.body:
            yield f"the link gives no {file.name}"


async def content_of(saved: Path) -> bytes | None:
    """Return the file that appears there; None when none does."""
    for _ in range(100):
        if body := await asyncio.to_thread(first_in, saved):
            return body
        await asyncio.sleep(0.1)
    return None


def first_in(saved: Path) -> bytes | None:
    """Return the first file that is there as a whole."""
    done = [one for one in saved.glob("*") if one.suffix in {".csv", ".json"}]
    return done[0].read_bytes() if done else None


async def run(program: str, folder: Path) -> list[str]:
    """Return all that is wrong with the pages."""
    names = {queue_of(place): name for place, name in enumerate(NAMES)}
    nothing = report_of(a_day(), Aggregate(a_day().group_by), NOW)
    pages = {
        "day": files_of(a_report(1), names),
        "month": files_of(a_report(31)),
        "empty": files_of(nothing),
    }
    problems = []
    for name, files in pages.items():
        path = folder / f"{name}.html"
        path.write_bytes(files[-1].body)
        async with chromium(program) as page:
            problems += await look(page, path, files, folder)
    if "Errors &lt;escalated&gt;" not in pages["day"][-1].body.decode():
        problems.append("day: has no names")
    if "9e000000\u20260000" not in pages["month"][-1].body.decode():
        problems.append("month: has no ids")
    return problems


if __name__ == "__main__":
    check_page("report page", run)
