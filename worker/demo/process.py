"""The worker as a process of its own: started, asked how it is, signalled. Its console, too."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

START_SECONDS = 60
POLL_SECONDS = 0.05


class WorkerFailed(Exception):
    """The worker ended, or was not ready in time; carries the end of its log."""


class WorkerProcess:
    """`worker run` under an environment of its own, its log in a file."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        program: Sequence[str] = ("-m", "worker", "run"),
        *,
        process_group: int | None = None,
        until_ready: bool = True,
    ) -> None:
        """`program`: arguments of the interpreter. `process_group`: 0 for one of its own.

        `until_ready`: entered, wait for /readyz, and not only for the address of the ops server.
        """
        self._until = self._until_ready if until_ready else self._until_listening
        self._program = program
        self._process_group = process_group
        self._environment = {"PYTHONUNBUFFERED": "1", "OPS_PORT": "0", **environment}
        self.log = log
        self.url = ""
        """Where its ops server answers, or its console; known once it is started."""

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
        await self._end()

    @property
    def returncode(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.returncode if self._process else None

    async def start(self, *, until_ready: bool = True) -> None:
        """Start, and wait until /readyz says so. Raises WorkerFailed; then nothing runs on."""
        with self.log.open("ab") as log:
            offset = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._program,
                env=self._environment,
                stdout=log,
                stderr=log,
                process_group=self._process_group,
            )
        if until_ready:
            try:
                async with asyncio.timeout(START_SECONDS):
                    self.url = await self._listening(offset)
                    await self._until()
            except BaseException as error:
                # A context that could not be entered is not left, either.
                await self._end()
                if isinstance(error, TimeoutError):
                    raise WorkerFailed(f"not ready in time:\n{self.tail()}") from None
                raise

    async def ready(self) -> bool:
        """Whether /readyz answers 200. Raises WorkerFailed once the process has ended."""
        self._check_running()
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/readyz") as reply:
                return reply.status == 200
        except aiohttp.ClientConnectionError:
            return False  # it is about to end, and the next look says so with its log

    async def page(self, path: str) -> str:
        """Return the text of a page of the ops server."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}{path}") as reply:
            return await reply.text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    async def wait(self, seconds: float) -> int:
        """Wait for its end and return the exit code. Raises WorkerFailed."""
        if self._process is None:
            raise WorkerFailed("never started")
        try:
            return await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            raise WorkerFailed(f"still running after {seconds} s:\n{self.tail()}") from None

    def lines(self) -> list[dict[str, Any]]:
        """Return its log lines that are JSON."""
        found = []
        for line in self.log.read_bytes().splitlines():
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                continue
        return [line for line in found if isinstance(line, dict)]

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    async def _end(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _until_listening(self) -> None:
        """Wait for nothing more: its address is known."""

    async def _until_ready(self) -> None:
        while not await self.ready():  # noqa: ASYNC110  another process has no event to wait for
            await asyncio.sleep(POLL_SECONDS)

    async def _listening(self, offset: int) -> str:
        while True:
            self._check_running()
            for line in self.log.read_bytes()[offset:].splitlines():
                if b'_listening"' in line:
                    return str(orjson.loads(line)["url"])
            await asyncio.sleep(POLL_SECONDS)

    def _check_running(self) -> None:
        if self.returncode is not None:
            raise WorkerFailed(f"ended with {self.returncode}:\n{self.tail()}")


COMMAND_SECONDS = 120


async def run_command(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command of the worker as an operator does, and return its output.

    Raises WorkerFailed, with what it wrote to stderr, unless its exit code is 0.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problem = await _output_of(process)
    if process.returncode:
        raise WorkerFailed(f"{arguments[0]} ended with {process.returncode}: {problem.decode()}")
    return out.decode()


async def _output_of(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """Wait for the end of a process, whose caller may give up; it does not live on then."""
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            return await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
