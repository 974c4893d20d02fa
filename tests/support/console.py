"""The console, served in the test's loop, and a browser without a screen."""

import asyncio
import re
from contextlib import asynccontextmanager
from html.parser import HTMLParser

import aiohttp

from worker.cli.console.guard import Guard
from worker.cli.console.pages import Frame
from worker.cli.console.runs import DeadLetters, open_dead_letters
from worker.cli.console.server import Console, Fleet, serving
from worker.cli.dlq.reader import Timing

SHORT = Timing(receive=0, before_delete=0.01)
"""The emulator says at once, and always, what is there."""

TOKEN = "the-token-of-this-console"
WAIT_SECONDS = 20


@asynccontextmanager
async def served_console(*places, changes=False, hosts=()):
    """Serve the console of the environment; yield its address and the runs over dead letters."""
    work, missing = open_dead_letters()
    if work is not None:
        work.timing = SHORT
    console = Console(Fleet(places), work, missing, Frame(TOKEN, changes))
    async with serving(console, Guard(hosts, TOKEN), "127.0.0.1", 0) as url:
        yield url, work
        if work is not None:
            await work.close()


class Visitor:
    """Asks for pages as a browser does that a person sits at."""

    def __init__(self, http: aiohttp.ClientSession, url: str, work: DeadLetters | None) -> None:
        self._http = http
        self.url = url
        self.work = work
        self.headers: dict[str, str] = {"Origin": url}

    async def get(self, path, **headers):
        return await self._answer(self._http.get(self.url + path, headers=headers))

    async def post(self, path, *, headers=None, **form):
        """Send a form of the console's own page; follow where it leads."""
        sent = self.headers if headers is None else headers
        fields = {"token": TOKEN, **form}
        fields = {name: value for name, value in fields.items() if value is not None}
        return await self._answer(self._http.post(self.url + path, data=fields, headers=sent))

    async def done(self, path, **form):
        """Begin a run, and return it once it is over."""
        answer = await self.post(path, **form)
        assert answer.status == 200, answer.text
        run = self.work.runs[-1]
        await until(lambda: run.is_over)
        return run

    async def _answer(self, request):
        async with request as reply:
            return Answer(reply, await reply.text())


class Answer:
    """What came, and where from."""

    def __init__(self, reply: aiohttp.ClientResponse, text: str) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.path = reply.url.path_qs
        self.text = text

    @property
    def words(self):
        """Return the text that is seen, each run of white space as one space."""
        return " ".join(Page.of(self.text).words)

    @property
    def token(self):
        """Return the token of its forms."""
        return next(one["value"] for _, one in self.tags if one.get("name") == "token")

    @property
    def tags(self):
        return Page.of(self.text).tags

    def links(self, path):
        """Return the addresses that lead to pages of that path."""
        found = [given.get("href", "") for name, given in self.tags if name == "a"]
        return [one for one in found if one.partition("?")[0] == path]


class Page(HTMLParser):
    """The elements of a page with their attributes, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    @classmethod
    def of(cls, text):
        page = cls()
        page.feed(text)
        page.close()
        return page

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += re.split(r"\s+", data.strip()) if data.strip() else []


async def until(true):
    """Wait for something to come true."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():  # noqa: ASYNC110  a run has no event of its own
            await asyncio.sleep(0.01)
