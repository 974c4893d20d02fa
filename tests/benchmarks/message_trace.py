"""`python -m tests.benchmarks.message_trace`: the way of one no-op message through our own files.

The intake of `ours` runs in this process with its log line per message, its queue in another
thread. A profile hook notes each call into a file under worker/; a call into another file than the
one before is a move. The emulators, the operators' server, its heartbeat
and the intake's ticker are left out. With
returns counted as well the figure is two thirds larger; it is printed beside it, without a limit.
Messages are sent one by one, and the shortest way counts. Exit code 1 beyond the limits.

By default SQS is called by the SDK, so that it is the intake that is counted: before the gates this
shows 30 files and 98 moves. `--transport wire` counts our own SQS client, too: 39 and 132.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, Self

import orjson

import worker
from tests.benchmarks.contestants import AWS, OURS
from tests.benchmarks.events import event
from worker.app.jobs import load_settings
from worker.emulators.sqs import SqsServer
from worker.telemetry.logs import configure_logging

MOST_FILES = 24
MOST_MOVES = 60
"""Limits: files of ours that one message enters, and moves between them."""

MESSAGES = 8
WARM = 3
"""The first ones find caches and connections cold."""

SECONDS = 20
QUIET_SECONDS = 0.2
"""After a delete: what still belongs to the message ends."""

ROOT = Path(worker.__file__).parent
ASIDE = ("demo", "emulators", "ops")


@lru_cache(maxsize=4096)
def own_name(path: str) -> str | None:
    """Return the path under worker/ of a file whose visits count; None for all others."""
    if not path.startswith(f"{ROOT}{os.sep}"):
        return None
    name = str(Path(path).relative_to(ROOT))
    return None if name.partition(os.sep)[0] in ASIDE else name


class Trace:
    """Notes which of our files is called, whenever that changes."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        """By calls."""

        self.steps: list[str] = []
        """By calls and returns."""

    @property
    def files(self) -> list[str]:
        """Files in the order of their first visit."""
        return list(dict.fromkeys(self.visits))

    @property
    def moves(self) -> int:
        """Calls from one file into another."""
        return max(0, len(self.visits) - 1)

    def __call__(self, frame: FrameType | None, happening: str, _argument: object) -> None:
        """Be the hook of `sys.setprofile`."""
        if frame is not None and _is_of_the_ticker(frame):
            return
        if happening == "call":
            name = own_name(frame.f_code.co_filename)
            _append(self.visits, name)
            _append(self.steps, name)
        elif happening == "return":
            frame = frame.f_back
            while frame is not None and (name := own_name(frame.f_code.co_filename)) is None:
                frame = frame.f_back
            if frame is not None:
                _append(self.steps, name)


def _is_of_the_ticker(frame: FrameType) -> bool:
    """Return whether it runs four times a second, whether or not there is a message."""
    caller: FrameType | None = frame
    while caller is not None:
        if caller.f_code.co_name == "_tick":
            return True
        caller = caller.f_back
    return False


def _append(visits: list[str], name: str | None) -> None:
    if name is not None and visits[-1:] != [name]:
        visits.append(name)


@dataclass(frozen=True, slots=True)
class Way:
    """What a message needs."""

    order: list[str]
    files: int
    moves: int
    with_returns: int

    @property
    def within(self) -> bool:
        """Whether it is as short as it must be."""
        return self.files <= MOST_FILES and self.moves <= MOST_MOVES


class QueueThread:
    """An SQS server in a thread of its own, where the hook does not see it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._sqs = SqsServer()
        self.queue_url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._sqs.start(), self._loop).result(SECONDS)
        self.queue_url = self._sqs.create_queue("trace", VisibilityTimeout="300")
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._sqs.stop(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self) -> str:
        """What the SDK is given."""
        return self._sqs.endpoint_url

    async def pass_through(self, body: str) -> None:
        """Send a message and wait until it is deleted."""

        async def sent_and_gone() -> None:
            self._sqs.send(self.queue_url, body)
            await self._sqs.wait_until(lambda: not sum(self._sqs.depth(self.queue_url)), SECONDS)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(sent_and_gone(), self._loop))
        await asyncio.sleep(QUIET_SECONDS)  # an answer that is still on its way reports to none


async def measured(queue: QueueThread) -> Way:
    """Run the intake and return the shortest way."""
    from tests.benchmarks import ours  # its peers' module reads the environment when imported

    settings = load_settings()
    configure_logging(settings.log.level, "json", sys.stderr)
    running = asyncio.create_task(ours.run(settings))
    for number in range(WARM):
        await _either(queue.pass_through(event(number)), running)
    traces = []
    for number in range(WARM, WARM + MESSAGES):
        with _hooked() as trace:
            await _either(queue.pass_through(event(number)), running)
        traces.append(trace)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, SECONDS)
    least = min(traces, key=lambda trace: (trace.moves, len(trace.files)))
    return Way(least.visits, len(least.files), least.moves, len(least.steps) - 1)


async def _either(work: Any, running: asyncio.Task[int]) -> None:
    """Wait for the work, unless the intake ends before."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task, running}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        raise RuntimeError(f"the intake ended: {running.result()}")
    task.result()


@contextmanager
def _hooked() -> Iterator[Trace]:
    trace = Trace()
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)


def shortest_way(transport: str) -> Way:
    """Measure; the environment of this process is changed for it."""
    with QueueThread() as queue:
        os.environ |= {
            **AWS,
            **OURS.settings,
            "AWS_ENDPOINT_URL": queue.endpoint,
            "SQS_QUEUE_URL": queue.queue_url,
            "SQS_WAIT_SECONDS": "1",
            "AWS_TRANSPORT": transport,
            "LOG_LEVEL": "info",
        }
        return asyncio.run(measured(queue))


def main() -> int:
    """Print the way; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.message_trace")
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")
    parser.add_argument("--transport", default="sdk", help="as AWS_TRANSPORT")
    asked = parser.parse_args()
    way = shortest_way(asked.transport)
    if asked.json:
        sys.stdout.buffer.write(orjson.dumps(way, option=orjson.OPT_APPEND_NEWLINE))
        return 0 if way.within else 1
    for place, name in enumerate(way.order):
        sys.stdout.write(f"{place:4}  {name}\n")
    sys.stdout.write(f"own files entered: {way.files} (limit {MOST_FILES})\n")
    sys.stdout.write(f"moves between files: {way.moves} (limit {MOST_MOVES})\n")
    sys.stdout.write(f"moves with returns counted as well: {way.with_returns}\n")
    sys.stdout.write("kept\n" if way.within else "BROKEN\n")
    return 0 if way.within else 1


if __name__ == "__main__":
    sys.exit(main())
