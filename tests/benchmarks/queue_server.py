"""The benchmark's SQS, as seen by the one who measures: started, filled, watched, asked."""

import asyncio
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson

ROOT = Path(__file__).parents[2]

VISIBILITY_SECONDS = 300.0
"""Longer than any run: nothing comes back by itself."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of traffic: what it took to delete so many messages."""

    deleted: int
    complete: bool
    """Whether all were deleted that it was to wait for, or its time was over."""

    given: int
    """Messages received meanwhile."""

    seconds: float
    cpu_seconds: float
    """User and system time of the contestant and its children."""

    server_seconds: float
    """CPU time of the server: near `seconds`, it was the server that was measured."""

    calls: Mapping[str, int]
    """Calls received, by action."""

    @property
    def calls_a_message(self) -> float:
        """Return the calls that a message takes.

        Receives by what they brought, all others by what was deleted: at either end of the stretch
        there are messages that were received and are not deleted yet.
        """
        receives = self.calls.get("ReceiveMessage", 0)
        others = sum(self.calls.values()) - receives
        return receives / (self.given or 1) + others / self.deleted


class QueueServer:
    """A server process with one queue, to be entered as an async context."""

    def __init__(self, certificate: Path | None = None) -> None:
        """`certificate`: with its key in one file; the server speaks TLS then."""
        self.certificate = certificate
        self.url = ""
        """What clients take as `AWS_ENDPOINT_URL`."""

        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        program = ["-m", "tests.benchmarks.server", *filter(None, [self.certificate])]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, program), cwd=ROOT, stdin=-1, stdout=-1
        )
        port = int(await self._process.stdout.readline())
        self.url = f"https://localhost:{port}" if self.certificate else f"http://127.0.0.1:{port}"
        trusted = ssl.create_default_context(cafile=self.certificate) if self.certificate else True
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted),
            json_serialize=lambda x: orjson.dumps(x).decode(),
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.close()
        self._process.kill()
        await self._process.wait()

    @property
    def queue_url(self) -> str:
        """Return the queue's URL."""
        return f"{self.url}/000000000000/bench"

    async def reset(
        self, *, round_trip_seconds: float = 0.0, visibility_seconds: float = VISIBILITY_SECONDS
    ) -> None:
        """Empty the queue; from now on each answer takes so long."""
        await self._send(
            "reset", round_trip_seconds=round_trip_seconds, visibility_seconds=visibility_seconds
        )

    async def fill(self, path: Path, first: int, count: int) -> None:
        """Put messages of a file of JSON lines on the queue, numbered by their place in it."""
        await self._send("fill", path=str(path), first=first, count=count)

    async def trickle(self, path: Path, count: int, *, per_second: float, seed: int) -> None:
        """Begin to put messages 1 to `count` on the queue, one by one at random moments."""
        await self._send(
            "trickle", path=str(path), first=1, count=count, per_second=per_second, seed=seed
        )

    async def keep(self, path: Path) -> int:
        """Write what is on the queue to such a file; return how many messages there were."""
        return await self._send("keep", path=str(path))

    async def watch(self, session: int, *, begin: int, end: int, seconds: float) -> None:
        """Watch from `begin` deleted messages (0: the first receive) to `end`, at most so long.

        `session`: process whose CPU time is taken, the leader of its session; 0 for none.
        """
        await self._send("watch", session=session, begin=begin, end=end, seconds=seconds)

    async def wait(self, seconds: float) -> Stretch | None:
        """Wait until the stretch is over, at most that long; None when it did not begin."""
        report = await self._send("wait", seconds=seconds)
        return Stretch(**report) if report.get("deleted") else None

    async def state(self) -> dict[str, Any]:
        """Return `visible` (a count), `hidden` and `deleted` (numbers), `calls`, and `sent`.

        `sent`: pairs of number and time, of those that came one by one.
        """
        return await self._send("state")

    async def _send(self, command: str, **parameters: object) -> Any:
        async with self._http.post(self.url, json={"do": command, **parameters}) as reply:
            reply.raise_for_status()
            return orjson.loads(await reply.read())
