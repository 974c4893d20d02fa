"""The report's page in a real browser: `python -m tests.browser.report_page [FOLDER]`.

Renders a day and a month, light, dark, narrow and on paper; fails on any error of the console,
on a table that does not sort and on a page wider than its window. With FOLDER it keeps the
pictures. Exit code 0 means well; 2 that there is no Chromium.
"""

import asyncio
import shutil
import sys
import tempfile
from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.browser.chromium import Page, chromium
from tests.support.genesys import DAY, DAY_MS, HOUR_MS, NOW, a_day, a_row
from worker.clients.genesys.filters import Condition
from worker.jobs.reports.figures import Aggregate
from worker.jobs.reports.page import html_page
from worker.jobs.reports.report import Report, report_of

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
NAMES = ("Billing", "Orders & returns", "Technical support", "Errors <escalated>")
CODES = ("Resolved", "Callback agreed", "Escalated", "Refund", "Wrong number")
SORTED = """(() => {
  const heads = [...document.querySelectorAll("th button")];
  heads[2].click(); heads[2].click();
  const cells = [...document.querySelectorAll("tbody tr")].map(r => +r.cells[2].dataset.value);
  return cells.every((value, place) => place === 0 || cells[place - 1] <= value);
})()"""
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def queue_of(place: int) -> str:
    """Return an id as Genesys has them."""
    return f"9e000000-0000-4000-8000-{place:012}"


def a_report(days: int) -> Report:
    """Office hours on weekdays, four queues, three media types."""
    random = Random(days)
    inbound = Condition("originatingDirection", ("inbound",))
    due = a_day(end=DAY + timedelta(days=days), filters=(inbound,))
    aggregate = Aggregate(due.group_by)
    for _ in range(4_000 * days):
        day, hour = random.randrange(days), min(23.9, max(0, random.gauss(13, 3.5)))
        if (day + 6) % 7 > 4 and random.random() < 0.75:
            continue
        queue = random.choices(range(4), (5, 3, 2, 1))[0]
        duration = int(random.lognormvariate(12.2 + queue * 0.2, 0.7))
        talk = int(duration * random.uniform(0.45, 0.8))
        aggregate.add(
            a_row(
                start_ms=DAY_MS + int((day * 24 + hour) * HOUR_MS),
                duration_ms=None if random.random() < 0.002 else duration,
                talk_ms=talk,
                hold_ms=int((duration - talk) * random.uniform(0, 0.15 + 0.15 * queue)),
                media_type=random.choices(("voice", "message", "callback"), (6, 3, 1))[0],
                queue_id=queue_of(queue),
                wrapup_codes=(random.choice(CODES),),
            )
        )
    return report_of(due, aggregate, NOW)


async def look(page: Page, url: str, name: str, folder: Path) -> list[str]:
    """Open one page in every way; return what is wrong."""
    await page.open(url)
    problems = []
    for width, scheme in ((1200, "light"), (1200, "dark"), (390, "light")):
        picture = await page.screenshot(width, scheme=scheme)
        await asyncio.to_thread((folder / f"{name}-{width}-{scheme}.png").write_bytes, picture)
        if await page.value(TOO_WIDE):
            problems.append(f"{name}: wider than {width}")
    if await page.value("document.querySelectorAll('th button').length > 2 && !" + SORTED):
        problems.append(f"{name}: the table does not sort")
    paper = await page.ask("Page.printToPDF", printBackground=True)
    await asyncio.to_thread((folder / f"{name}.pdf").write_bytes, b64decode(paper["data"]))
    return problems + page.errors


async def run(program: str, folder: Path) -> list[str]:
    """Return all that is wrong with the pages."""
    names = {queue_of(place): name for place, name in enumerate(NAMES)}
    pages = {
        "day": html_page(a_report(1), names),
        "month": html_page(a_report(31)),
        "empty": html_page(report_of(a_day(), Aggregate(a_day().group_by), NOW)),
    }
    problems = []
    for name, text in pages.items():
        path = folder / f"{name}.html"
        path.write_text(text)
        async with chromium(program) as page:
            problems += await look(page, path.as_uri(), name, folder)
    return problems


def main() -> None:
    """Find a browser and look."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        sys.stderr.write(f"no browser: none of {', '.join(PROGRAMS)}\n")
        sys.exit(2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        folder.mkdir(parents=True, exist_ok=True)
        problems = asyncio.run(run(program, folder))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write("report page: " + ("not ok\n" if problems else "ok\n"))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
