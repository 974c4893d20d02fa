"""The page of a replica in a real browser: `python -m tests.browser.ops_page [FOLDER]`.

Opens `/` of a real ops server, wide and narrow, light and dark, for a worker at work, for one with
every kind of problem, and for one whose queues and reasons are hostile; the pictures are kept in
FOLDER (.ci-logs). Fails on any message of the console, on a request to any other host, on a page
wider than its window, on a hostile name that does something, and on a page that does not follow
its worker, or hides that the worker is gone. Exit code 0 means ok; 2 that there is no Chromium.
"""

import asyncio
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.browser.chromium import SCHEMES, TOO_WIDE, WIDTHS, Page, check_page, chromium
from tests.support.snapshots import HOSTILE, a_worker_at_work, a_worker_in_trouble, hostile_worker
from worker.ops import Health, OpsServer, Status
from worker.settings import Ops
from worker.telemetry import Snapshot

WAIT_SECONDS = 20
DONE_NOTHING = """
  !window.done && !document.querySelector("main script, main img, main iframe, main [onerror]")
"""
IS_FINE = "document.querySelector('.problem') === null && document.title.startsWith('Ready')"
IS_IN_TROUBLE = "document.querySelectorAll('.problem').length >= 5"
SAYS_IT_IS_OLD = "!stale.hidden && stale.textContent.includes('what is below is old')"


class Worker:
    """What the page is made of; to be replaced while it is open."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        health = Health(stall_seconds=3600)
        health.beat()
        self.status = Status(lambda: self.snapshot, health)


@contextmanager
def served(worker: Worker):
    """Serve the pages of a worker; yield the address of `/`."""
    health = Health(stall_seconds=3600)
    health.beat()
    with OpsServer(Ops(port=0), health, worker.status) as server:
        yield f"{server.url}/"


async def look(page: Page, url: str, name: str, folder: Path) -> list[str]:
    """Open the page in every way; return what is wrong."""
    await page.open(url)
    problems = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            picture = await page.screenshot(width, scheme=scheme)
            path = folder / f"ops-page-{name}-{width}-{scheme}.png"
            await asyncio.to_thread(path.write_bytes, picture)
            if await page.value(TOO_WIDE):
                problems.append(f"{name}: wider than {width}")
    if not await page.value(DONE_NOTHING):
        problems.append(f"{name}: a hostile text did something")
    return problems + said_or_asked(page, url, name)


def said_or_asked(page: Page, url: str, name: str) -> list[str]:
    """Return what the console shows, and the requests to others."""
    host = urlsplit(url).netloc
    foreign = [one for one in page.requests if urlsplit(one).netloc not in ("", host)]
    return [f"{name}: {one}" for one in (*page.errors, *foreign)]


async def comes_true(page: Page, expression: str, name: str) -> list[str]:
    """Wait for something in the page; return what is wrong if it does not come."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await page.value(expression):  # noqa: ASYNC110  the browser has no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        return [f"{name}: not in {WAIT_SECONDS} s: {expression}"]
    return []


async def follow(page: Page) -> list[str]:
    """Let a worker get into trouble and out of it, then go, while its page is open."""
    worker = Worker(a_worker_at_work())
    with served(worker) as url:
        await page.open(url)
        problems = await comes_true(page, IS_FINE, "at work")
        worker.snapshot = a_worker_in_trouble()
        problems += await comes_true(page, IS_IN_TROUBLE, "in trouble")
        worker.snapshot = a_worker_at_work()
        problems += await comes_true(page, IS_FINE, "out of trouble")
        problems += said_or_asked(page, url, "follow")
    # The browser's console reports the requests that fail from here on: that is its own.
    return problems + await comes_true(page, SAYS_IT_IS_OLD, "gone")


async def run(program: str, folder: Path) -> list[str]:
    """Return all that is wrong."""
    snapshots = {
        "at-work": a_worker_at_work(),
        "in-trouble": a_worker_in_trouble(),
        "starting": Snapshot(starting="waiting for SQS to answer for voice", uptime_seconds=12.0),
        **{f"hostile-{i}": hostile_worker(text) for i, text in enumerate(HOSTILE)},
    }
    problems = []
    async with chromium(program) as page:
        for name, snapshot in snapshots.items():
            with served(Worker(snapshot)) as url:
                problems += await look(page, url, name, folder)
                # Left before its worker goes: it asks every two seconds.
                await page.open("about:blank")
            page.forget()
        problems += await follow(page)
    return problems


if __name__ == "__main__":
    check_page("ops page", run)
