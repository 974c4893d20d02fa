"""A headless Chromium, driven over its DevTools protocol: no driver has to be installed."""

import asyncio
import itertools
import re
import shutil
import sys
import tempfile
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Page:
    """One page.

    `errors` collects what its console would show, `requests` the addresses that it asks.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.errors: list[str] = []
        self.requests: list[str] = []

    def forget(self) -> None:
        """Begin anew with both."""
        self.errors.clear()
        self.requests.clear()

    async def read(self) -> None:
        """Take in what the browser says, for ever."""
        async for message in self._socket:
            reported = message.json()
            if "id" in reported:
                self._answers.pop(reported["id"]).set_result(reported)
            elif reported["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif reported["method"] == "Network.requestWillBeSent":
                self.requests.append(reported["params"]["request"]["url"])
            elif reported["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"} or (
                reported["method"] == "Runtime.consoleAPICalled"
            ):
                self.errors.append(str(reported["params"]))

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method; raise what it answers as an error."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(asyncio.shield(self._answers[number]), 30)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> None:
        """Load a page and wait until it is there."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")
        self._loaded.clear()
        await self.ask("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    async def screenshot(self, width: int, *, scheme: str = "light") -> bytes:
        """Return the whole page as PNG."""
        await self.ask(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.ask("Emulation.setDeviceMetricsOverride", **size)
        shot = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return b64decode(shot["data"])


@asynccontextmanager
async def chromium(program: str):
    """Start the browser; yield an empty page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = await asyncio.create_subprocess_exec(
            *(program, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                address = await _address(browser)
            async with aiohttp.ClientSession() as session:
                pages = await (await session.get(f"http://{address}/json/list")).json()
                url = next(one for one in pages if one["type"] == "page")["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    reading = asyncio.create_task(page.read())
                    yield page
                    reading.cancel()
        finally:
            browser.kill()
            await browser.wait()


async def _address(browser: asyncio.subprocess.Process) -> str:
    assert browser.stderr is not None
    async for line in browser.stderr:
        if found := re.search(rb"DevTools listening on ws://([^/]+)/", line):
            return found[1].decode()
    raise RuntimeError("the browser did not start")


def check_page(name: str, run: Callable[[str, Path], Awaitable[list[str]]]) -> NoReturn:
    """Check a page, keep pictures in the folder of the command line, say what is wrong, and exit.

    `run` is given the browser's program and the folder, and returns the problems.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        sys.stderr.write(f"no browser: none of {', '.join(PROGRAMS)}\n")
        sys.exit(2)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".ci-logs").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    problems = asyncio.run(run(program, folder))
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write(f"{name}: " + ("not ok\n" if problems else "ok\n"))
    sys.exit(1 if problems else 0)
