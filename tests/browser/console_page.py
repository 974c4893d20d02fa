"""The console in a real browser: `python -m tests.browser.console_page [FOLDER]`.

Opens its pages wide and narrow, light and dark: for three replicas behind one name of which one is
frozen, for workers in trouble, and for hostile names and reasons. Redrives a cause from end to end
by its buttons, and by the keyboard alone shows a message; sends a form from a foreign page. The
pictures are kept in FOLDER (.ci-logs). Fails on any message of the browser's console, on a request
to any other host, on a page wider than its window, on a field without a label, and where anything
was done that should not be. Exit code 0 means ok; 2 that there is no Chromium.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.browser.chromium import SCHEMES, TOO_WIDE, WIDTHS, Page, check_page, chromium
from tests.support.console import served_console
from tests.support.dead_letters import ABC, XYZ, dead_lettered, dead_letters
from tests.support.replicas import (
    ADDRESSES,
    NAME,
    free_port,
    frozen_replica,
    names,
    replica,
    two_that_answer,
)
from tests.support.snapshots import HOSTILE, a_worker_at_work, a_worker_in_trouble, hostile_worker
from worker.emulators import serving
from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.model import Attribute
from worker.intake.dead_letters import RECORD_ATTRIBUTE

WAIT_SECONDS = 30
DONE_NOTHING = """
  !window.done && !document.querySelector("main script, main img, main iframe, main [onerror]")
"""
UNLABELLED = """[...document.querySelectorAll("input:not([type=hidden])")]
  .filter(field => !field.labels.length).length"""
BAR = "document.querySelector('progress')"
SECTIONS = {"overview": "/", "jobs": "/jobs", "upstreams": "/upstreams"}
BODY = '{"conversationId": "c0ffee00-0000-4000-8000-000000000001", "ani": "+4915112345678"}'

FOREIGN = """<!doctype html><form method=post action="{url}/dead-letters/read">
<input name=token value="{token}"><input name=limit value=10></form>
<script>document.forms[0].submit()</script>"""
"""A page of another origin that sends the console's form, even with a token it cannot know."""


class Queues:
    """A queue and its dead-letter queue on an emulator."""

    def __init__(self, sqs: SqsServer, name: str) -> None:
        """Make them, and let the environment name them."""
        self.sqs = sqs
        self.dead = sqs.create_queue(f"{name}-dead")
        self.queue = sqs.create_queue(name)
        os.environ |= {
            "AWS_ENDPOINT_URL": sqs.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SQS_QUEUE_URL": self.queue,
            "SQS_DEAD_LETTER_QUEUE_URL": self.dead,
        }

    def hostile(self, text: str) -> None:
        """Put a dead letter there, of a sender that writes such text wherever it can."""
        record = dict.fromkeys(("reason", "fingerprint", "job", "queue", text), text)
        attributes = {RECORD_ATTRIBUTE: Attribute("String", json.dumps(record))}
        self.sqs.send(self.dead, f"{text}\n{BODY}", attributes=attributes)


class Check:
    """A page of the browser, and what was wrong on it so far."""

    def __init__(self, page: Page, url: str, folder: Path) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        self._folder = folder

    async def shown(self, path: str, name: str) -> None:
        """Open a page, and check it in every way."""
        await self.page.open(self.url + path)
        await self.here(name)

    async def here(self, name: str) -> None:
        """Check the page that is open, in every way."""
        await self.true("document.readyState === 'complete'", name)
        for width in WIDTHS:
            for scheme in SCHEMES:
                picture = await self.page.screenshot(width, scheme=scheme)
                path = self._folder / f"console-{name}-{width}-{scheme}.png"
                await asyncio.to_thread(path.write_bytes, picture)
                if await self._value(TOO_WIDE):
                    self.problems.append(f"{name}: wider than {width}")
        if await self._value(DONE_NOTHING) is False:
            self.problems.append(f"{name}: a hostile text did something")
        if count := await self._value(UNLABELLED):
            self.problems.append(f"{name}: {count} fields have no label")
        self.said_or_asked(name)

    def said_or_asked(self, name: str) -> None:
        """Note what the browser's console shows, and the requests to others."""
        host = urlsplit(self.url).netloc
        foreign = [one for one in self.page.requests if urlsplit(one).netloc not in ("", host)]
        self.problems += [f"{name}: {one}" for one in (*self.page.errors, *foreign)]
        self.page.forget()

    async def true(self, expression: str, name: str) -> bool:
        """Wait for something in the page; return whether it came."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not await self._value(f"!!({expression})"):  # noqa: ASYNC110  no event for it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            self.problems.append(f"{name}: not in {WAIT_SECONDS} s: {expression}")
            return False
        return True

    async def says(self, text: str, name: str) -> None:
        """Wait for a text on the page."""
        await self.true(f"document.body.innerText.includes({json.dumps(text)})", name)

    async def click(self, selector: str) -> None:
        """Click on something of the page with the mouse."""
        if not await self.true(f"document.querySelector({json.dumps(selector)})", "click"):
            return
        # Twice the same: a page whose size was just changed for a picture is still moving.
        place, before = await self._place_of(selector), None
        while place != before:
            await asyncio.sleep(0.1)  # some frames
            place, before = await self._place_of(selector), place
        for kind in ("mousePressed", "mouseReleased"):
            await self.page.ask(
                "Input.dispatchMouseEvent", type=kind, **place, button="left", clickCount=1
            )

    async def _place_of(self, selector: str) -> Any:
        """Scroll to something of the page; return the middle of its first line."""
        return await self.page.value(
            f"""(() => {{
              const one = document.querySelector({json.dumps(selector)});
              const [line] = one.getClientRects(); // it may have several
              scrollBy(0, line.y - innerHeight / 2);
              const [box] = one.getClientRects();
              return {{x: box.x + box.width / 2, y: box.y + box.height / 2}};
            }})()"""
        )

    async def press(self, key: str) -> None:
        """Press a key of the keyboard."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.page.ask("Input.dispatchKeyEvent", type="keyDown", **given, **text)
        await self.page.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    async def enter(self, text: str, then: str) -> None:
        """Go by Tab to what has that text, press Enter, and wait for another text."""
        for _ in range(60):
            await self.press("Tab")
            if await self._value("document.activeElement.textContent") == text:
                break
        else:
            self.problems.append(f"keyboard: it does not reach {text!r}")
        await self.press("Enter")
        await self.says(then, f"keyboard, after {text!r}")

    async def _value(self, expression: str) -> Any:
        try:
            return await self.page.value(expression)
        except RuntimeError:  # the page is about to be another
            return None


@asynccontextmanager
async def a_console(
    page: Page, folder: Path, *places: tuple[str, int], changes: bool = True
) -> AsyncIterator[Check]:
    """Serve a console, and leave it before it goes: its pages ask for ever."""
    async with served_console(*places, changes=changes) as (url, _):
        yield Check(page, url, folder)
        await page.open("about:blank")
        page.forget()


async def replicas(page: Page, folder: Path) -> list[str]:
    """Show three replicas behind one name, of which one is frozen."""
    port = free_port()
    moving, shut = two_that_answer()
    async with AsyncExitStack() as stack:
        stack.enter_context(names({NAME: ADDRESSES}))
        stack.enter_context(replica(moving, ADDRESSES[0], port, host="pod-a"))
        stack.enter_context(replica(shut, ADDRESSES[1], port, host="pod-b"))
        stack.enter_context(frozen_replica(ADDRESSES[2], port))
        check = await stack.enter_async_context(a_console(page, folder, (NAME, port)))
        for name, path in SECTIONS.items():
            await check.shown(path, f"replicas-{name}")
        await page.open(f"{check.url}/")
        await check.says("Replicas that answer: 2 of 3", "replicas")
        await check.says("frozen: takes connections, and answers none", "replicas")
        await check.says("all sums are without it", "replicas")
    return check.problems


async def follow(page: Page, folder: Path) -> list[str]:
    """Let a worker get into trouble while its page is open; then the console goes."""
    snapshot, port = [a_worker_at_work()], free_port()
    with replica(lambda: snapshot[0], "127.0.0.1", port):
        async with served_console(("127.0.0.1", port)) as (url, _):
            check = Check(page, url, folder)
            await page.open(f"{url}/")
            await check.says("No problem is known", "at work")
            snapshot[0] = a_worker_in_trouble()
            await check.says("ReceiveMessage fails with AccessDenied", "in trouble")
            await check.says("What to do: allow the role sqs:ReceiveMessage", "in trouble")
            for name, path in SECTIONS.items():
                await check.shown(path, f"trouble-{name}")
            await page.open(f"{url}/")
    # The browser reports the requests that fail from here on: that is its own.
    await check.says("The console does not answer", "gone")
    await page.open("about:blank")
    page.forget()
    return check.problems


async def change(page: Page, folder: Path, queues: Queues) -> list[str]:
    """Redrive a cause by the mouse, with its progress, and stop a delete of another."""
    sqs, wanted, others = queues.sqs, dead_letters(30), dead_letters(40, XYZ)
    sent = await asyncio.to_thread(dead_lettered, queues.dead, *wanted, *others)
    async with a_console(page, folder) as check:
        await read(check)
        await redrive(check, queues)
        await stop_a_delete(check)
    moved = sorted(message.sent.body for message in sqs.messages(queues.queue))
    if moved != sorted(sent[:30]):
        check.problems.append(f"redriven: {len(moved)} messages, not the 30 of the cause")
    left = len(sqs.messages(queues.dead))
    if not 0 < left < 40 or sqs.depth(queues.dead).in_flight:
        check.problems.append(f"stopped: {left} of 40 are left")
    return check.problems


async def read(check: Check) -> None:
    """Read the dead letters, and go to a cause."""
    await check.shown("/dead-letters", "nothing-read")
    await check.click("form[action='/dead-letters/read'] button")
    await check.says("70 of about 70 messages read", "read")
    await check.here("causes")
    await check.click(f"a[href*='{ABC.fingerprint}']")
    await check.says("30 messages", "cause")
    await check.here("cause")


async def redrive(check: Check, queues: Queues) -> None:
    """Redrive the cause that is shown."""
    await check.click("form[action='/dead-letters/dry-run'] button")
    await check.says("30 would be redriven (q 30), 40 others stay", "dry run")
    await check.here("dry-run")
    if len(queues.sqs.messages(queues.queue)):
        check.problems.append("dry run: it moved messages")
    # Slow enough for its pictures: at its end the page is loaded again.
    await check.page.value("document.querySelector('#rate').value = '3'")
    await check.click("form[action$='/apply'] button")
    await check.true(f"{BAR}.max === 30 && {BAR}.value > 0 && {BAR}.value < 30", "progress")
    await check.here("progress")
    await check.says("30 redriven of 30 (q 30), 40 others stay", "redriven")
    await check.here("redriven")


async def stop_a_delete(check: Check) -> None:
    """Delete another cause slowly, and stop that."""
    await check.page.open(f"{check.url}/dead-letters/cause?fingerprint={XYZ.fingerprint}")
    await check.click("form:has(input[value=delete]) button")
    await check.says("40 would be deleted", "dry run of delete")
    await check.here("delete-asked")
    await check.page.value("document.querySelector('#rate').value = '5'")
    await check.click("#sure")
    await check.click("form[action$='/apply'] button")
    await check.true(f"{BAR}.max === 40 && {BAR}.value > 0", "delete")
    await check.click("form[action$='/stop'] button")
    await check.says("stopped", "stopped")
    await check.here("stopped")


async def message(page: Page, folder: Path, queues: Queues) -> list[str]:
    """Show a message and its body by the keyboard alone."""
    queues.hostile("plain")
    async with a_console(page, folder, changes=False) as check:
        await page.open(f"{check.url}/dead-letters")
        await check.enter("Read the dead letters", "1 of about 1 message read")
        await check.enter("plain", "1 message")
        message_id = await page.value("document.querySelector('td a').textContent")
        await check.enter(message_id, "Failure record")
        await check.here("message")
        if "4915112345678" in await page.value("document.documentElement.outerHTML"):
            check.problems.append("message: its body is there before it was asked for")
        await check.enter("Show the body", "+4915112345678")
        await check.here("body")
        await check.enter("Trace of its conversation", "Searched")
        await check.enter("Search the dead-letter queues, too", "1 of about 1 message was read")
        await check.says(message_id, "trace")
        await check.here("trace")
    return check.problems


async def hostile(page: Page, folder: Path, sqs: SqsServer) -> list[str]:
    """Show hostile text of a worker and of a sender on every page."""
    problems, port = [], free_port()
    for number, text in enumerate(HOSTILE):
        Queues(sqs, f"hostile-{number}").hostile(text)
        place = ("127.0.0.1", port)
        with replica(hostile_worker(text), *place):
            async with a_console(page, folder, place) as check:
                for name, path in SECTIONS.items():
                    await check.shown(path, f"hostile-{number}-{name}")
                await page.open(f"{check.url}/dead-letters")
                await check.click("form[action='/dead-letters/read'] button")
                await check.says("1 of about 1 message read", "hostile")
                await check.here(f"hostile-{number}-causes")
                await check.click("td a[href*='fingerprint=']")
                await check.says("Redrive or delete", "hostile")
                await check.here(f"hostile-{number}-cause")
                await check.click("td a[href*='id=']")
                await check.says("Failure record", "hostile")
                await check.click("form[action$='/body'] button")
                await check.says("4915112345678", "hostile")
                await check.here(f"hostile-{number}-body")
        problems += check.problems
    return problems


async def foreign(page: Page, folder: Path) -> list[str]:
    """Send the console's form from a page of another origin, with its very token."""
    async with served_console(changes=True) as (url, work):
        check = Check(page, url, folder)
        html = FOREIGN.format(url=url, token="the-token-of-this-console")

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=html, content_type="text/html")

        app = web.Application()
        app.router.add_get("/", answer)
        async with serving(app) as other:
            await page.open(other)
            await check.says("comes from a page of another host", "foreign")
        if work is None or work.runs:
            check.problems.append("foreign: the form of another page did something")
    await page.open("about:blank")
    page.forget()
    return check.problems


async def run(program: str, folder: Path) -> list[str]:
    """Return all that is wrong."""
    async with SqsServer() as sqs, chromium(program) as page:
        return [
            *await replicas(page, folder),
            *await follow(page, folder),
            *await change(page, folder, Queues(sqs, "q")),
            *await message(page, folder, Queues(sqs, "m")),
            *await foreign(page, folder),
            *await hostile(page, folder, sqs),
        ]


if __name__ == "__main__":
    check_page("console", run)
