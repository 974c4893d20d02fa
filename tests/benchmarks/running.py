"""One contestant on the queue server: its messages made, its process started, signalled, ended."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.contest import Unmeasured
from tests.benchmarks.contestants import AWS, FAST, FOLDER, Contestant
from tests.benchmarks.events import write_events, write_messages
from tests.benchmarks.queue_server import QueueServer, Stretch
from tests.benchmarks.server.sessions import session_processes
from tests.benchmarks.size import Size

ROOT = Path(__file__).parents[2]
PRODUCE_SECONDS = 180
LEAST_MESSAGES = 500
"""In a file: what `head_of_line` and `sigterm` give at most."""

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Load:
    """What a handler does, and how many run at once."""

    concurrency: int
    seconds: float = 0.0
    slow_seconds: float = 0.0
    """Of message 0, if it is another."""

    notes: Path | None = None
    """File that handlers write begin and end of each message to."""

    def environment(self) -> dict[str, str]:
        """Return it as the programs read it."""
        found = {
            "BENCH_CONCURRENCY": str(self.concurrency),
            "BENCH_SECONDS": str(self.seconds),
            "BENCH_SLOW_SECONDS": str(self.slow_seconds),
            "SQS_CONCURRENCY": str(self.concurrency),
        }
        return found | ({"BENCH_NOTES": str(self.notes)} if self.notes else {})


class Failed(Unmeasured):
    """A contestant could not be measured; its text says why."""


class Running:
    """A contestant's process, the leader of a session."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def session(self) -> int:
        """Id of its session, and of itself."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.returncode

    def tail(self) -> str:
        """Return the last line that it wrote."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it wrote nothing"

    def terminate(self) -> None:
        """Send SIGTERM to it alone, as a platform does to the first process of a container."""
        if self.returncode is None:
            self._process.terminate()

    async def ended(self, seconds: float) -> bool:
        """Wait for its end; False when it has not come after so long."""
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        """End it and all that it started, and wait until they are gone."""
        while members := session_processes(self.session):
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)  # what another process started has no event to wait for
        await self._process.wait()

    async def traffic(self, server: QueueServer, seconds: float) -> Stretch:
        """Wait for the end of the stretch that the server watches. Raises Failed."""
        waiting = asyncio.ensure_future(server.wait(seconds))
        ended = asyncio.ensure_future(self._process.wait())
        await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not waiting.done():
            waiting.cancel()
            raise Failed(f"it ended with {self.returncode}: {self.tail()}")
        if (stretch := waiting.result()) is None:
            raise Failed(f"it worked off nothing within {seconds:.0f} s: {self.tail()}")
        return stretch


@asynccontextmanager
async def running(
    contestant: Contestant, server: QueueServer, load: Load, work: Path
) -> AsyncIterator[Running]:
    """Run a contestant; it is killed at the end. Raises NotInstalled."""
    command = await contestant.command(work, load.concurrency)
    noted = "-noted" if load.notes else ""
    log = work / f"{contestant.environment}{noted}.log"
    settings = _environment(server) | load.environment() | dict(contestant.settings)
    process = await _start(command, settings, log)
    one = Running(process, log)
    try:
        yield one
    finally:
        await one.kill()


async def all_poll(started: Sequence[Running], server: QueueServer) -> None:
    """Wait until each has asked for messages. Raises Failed when one ends, TimeoutError."""
    async with asyncio.timeout(START_SECONDS):
        while (await server.state())["calls"].get("ReceiveMessage", 0) < len(started):
            if ended := [one.tail() for one in started if one.returncode is not None]:
                raise Failed(ended[0])
            await asyncio.sleep(0.05)  # another process has no event to wait for


async def messages_of(contestant: Contestant, server: QueueServer, size: Size) -> Path:
    """Return a file with messages in the contestant's format, made once by its producer.

    As many as any benchmark gives it, and one. Raises Failed when its producer fails, NotInstalled.
    """
    share = contestant.share if contestant.producer else FAST
    count, work = max(int(size.messages * share), LEAST_MESSAGES) + 1, size.work
    path = work / f"messages-{contestant.format}-{count}.jsonl"
    if path.exists():
        return path
    if contestant.producer is None:
        write_messages(path, count)
        return path
    source = work / "events.txt"
    write_events(source, count)
    await server.reset()
    command = [str(await contestant.python(work)), contestant.producer]
    log = work / f"{contestant.environment}.log"
    settings = _environment(server) | {"BENCH_EVENTS": str(source)}
    producer = await _start(command, settings, log)
    code = await asyncio.wait_for(producer.wait(), PRODUCE_SECONDS)
    if code or await server.keep(path) != count:
        path.unlink(missing_ok=True)
        raise Failed(f"its producer failed with {code}: {Running(producer, log).tail()}")
    return path


async def _start(
    command: list[str], settings: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    ours = any(part.startswith("tests.benchmarks.") for part in command)
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT if ours else FOLDER,
            env={"PATH": os.environ["PATH"], "HOME": str(log.parent), **settings},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _environment(server: QueueServer) -> dict[str, str]:
    return {
        **AWS,
        "AWS_ENDPOINT_URL": server.url,
        "SQS_QUEUE_URL": server.queue_url,
        "BENCH_ENDPOINT": server.url,
        "BENCH_QUEUE_URL": server.queue_url,
        "PYTHONDONTWRITEBYTECODE": "1",
        **_trust(server.certificate),
    }


def _trust(certificate: Path | None) -> dict[str, str]:
    """Return the variables that name a certificate: of botocore and ours, of Go, of Node."""
    names = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS") if certificate else ()
    return dict.fromkeys(names, str(certificate))
