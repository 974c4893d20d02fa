"""`python -m worker run` as a process of its own, its output wherever a scenario wants it."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

RUN = ("-m", "worker", "run")
START_SECONDS = 60
CHECK_SECONDS = 0.05
PAGE_SECONDS = 3


class WorkerFailed(Exception):
    """The worker ended, or was not ready in time; carries the end of its log."""


def free_port() -> int:
    """Return a port of loopback that no one listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Worker:
    """A worker, killed at the end of its block whatever happened."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        *,
        program: Sequence[str] = RUN,
        output: int | None = None,
    ) -> None:
        """`output`: file descriptor of its stdout, in place of the log file."""
        self.port = free_port()
        self._environment = {
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPS_HOST": "127.0.0.1",
            **environment,
            "OPS_PORT": str(self.port),
        }
        self.log = log
        self._program = program
        self._output = output
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def start(self, *, until_ready: bool = True) -> None:
        """Start, and wait until /readyz says so. Raises WorkerFailed."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._program,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log if self._output is None else self._output,
                stderr=log,
            )
        if until_ready and await self.until("/readyz", 200, START_SECONDS) is None:
            raise WorkerFailed(f"not ready, exit code {self.returncode}:\n{self.tail()}")

    @property
    def returncode(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.returncode if self._process else None

    async def until(self, path: str, status: int, seconds: float) -> float | None:
        """Wait for a status of a page; return how long it took, None when it did not come."""
        began = time.monotonic()
        while time.monotonic() < began + seconds and self.returncode is None:
            if (await self.page(path))[0] == status:
                return time.monotonic() - began
            await asyncio.sleep(CHECK_SECONDS)
        return None

    async def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a page; status 0 when there is no answer."""
        limit = aiohttp.ClientTimeout(total=PAGE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as http,
                http.get(f"http://127.0.0.1:{self.port}{path}") as reply,
            ):
                return reply.status, await reply.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, ""

    async def status(self) -> dict[str, Any]:
        """Return the /status document; empty when there is none."""
        code, text = await self.page("/status")
        return orjson.loads(text) if code == 200 else {}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self, seconds: float) -> float | None:
        """Wait for its end; return how long that took, None when it still runs."""
        began = time.monotonic()
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return None
        return time.monotonic() - began

    async def stop(self, seconds: float = 60) -> float | None:
        """Send SIGTERM and wait for its end."""
        self.signal(signal.SIGTERM)
        return await self.ended(seconds)

    def text(self) -> str:
        """Return the whole log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines that are JSON objects."""
        found = []
        for line in self.text().splitlines():
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                continue
        return [line for line in found if isinstance(line, dict)]

    def tail(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.text().splitlines()[-12:])
