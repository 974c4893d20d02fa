"""The benchmark's SQS, a process of its own: its CPU time is no one's figure.

`python -m tests.benchmarks.server [CERTIFICATE]` writes its port on a line and serves until its
stdin ends; over TLS with a certificate and its key in one file. What is not an SQS call is a
command: a JSON object with its name, answered with one.
"""

import asyncio
import socket
import ssl
import sys
from pathlib import Path
from random import Random
from typing import Any

import orjson
import uvloop

from tests.benchmarks.server.actions import Actions
from tests.benchmarks.server.http import Connection, Exchange
from tests.benchmarks.server.queue import Message, Queue
from tests.benchmarks.server.watch import Watch

HOST = "127.0.0.1"


class Server:
    """SQS's actions, and the commands of the one who measures."""

    def __init__(self, port: int) -> None:
        self._actions = Actions(f"http://{HOST}:{port}", self._look)
        self._watch: Watch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.sent: dict[int, float] = {}
        """When each message of a trickle was sent, by the system's monotonic clock."""

    def __call__(self, exchange: Exchange) -> None:
        """Serve one request."""
        if exchange.target:
            self._actions(exchange)
            return
        command = orjson.loads(exchange.body)
        self._keep(asyncio.create_task(self._obey(exchange, command)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, exchange: Exchange, command: dict[str, Any]) -> None:
        act = COMMANDS[command.pop("do")]
        exchange.answer(orjson.dumps(await act(self, **command)))

    async def reset(self, *, round_trip_seconds: float, visibility_seconds: float) -> None:
        """Forget all messages and counts; long polls of before come back empty."""
        self._actions.queue = Queue(visibility_seconds=visibility_seconds)
        self._actions.round_trip_seconds = round_trip_seconds
        self._actions.calls.clear()
        self.sent.clear()
        self._watch = None

    async def fill(self, *, path: str, first: int, count: int) -> None:
        """Put lines of a file on the queue: `[body, message attributes]`, numbered by place."""
        lines = _read(path)
        for number in range(first, first + count):
            body, attributes = orjson.loads(lines[number % len(lines)])
            self._actions.queue.add(Message(number, body, attributes))
        self._actions.serve_waiting()

    async def trickle(
        self, *, path: str, first: int, count: int, per_second: float, seed: int
    ) -> None:
        """Put messages on the queue one by one, at random moments, for so long as that takes."""
        self._keep(asyncio.create_task(self._trickle(_read(path), first, count, per_second, seed)))

    async def _trickle(
        self, lines: list[bytes], first: int, count: int, per_second: float, seed: int
    ) -> None:
        random, loop = Random(seed), asyncio.get_running_loop()
        due = loop.time()
        for number in range(first, first + count):
            due += random.expovariate(per_second)
            await asyncio.sleep(due - loop.time())
            body, attributes = orjson.loads(lines[number % len(lines)])
            self.sent[number] = loop.time()
            self._actions.queue.add(Message(number, body, attributes))
            self._actions.serve_waiting()

    async def keep(self, *, path: str) -> int:
        """Write the visible messages to such a file; return how many there were."""
        messages = self._actions.queue.messages()
        _write(path, messages)
        return len(messages)

    async def watch(self, **stretch: Any) -> None:
        """Watch a stretch from now on."""
        self._watch = Watch(**stretch)

    async def wait(self, *, seconds: float) -> dict[str, Any]:
        """Wait until the stretch is over, at most that long, and report it."""
        if self._watch is None:
            return {}
        try:
            async with asyncio.timeout(seconds):
                await self._watch.over.wait()
        except TimeoutError:
            self._watch.finish(self._actions)
        return self._watch.report()

    async def state(self) -> dict[str, Any]:
        """Return where the messages are."""
        queue = self._actions.queue
        return {
            "visible": queue.visible,
            "hidden": queue.hidden,
            "deleted": sorted(queue.deleted),
            "calls": dict(self._actions.calls),
            "sent": list(self.sent.items()),
        }

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.look(self._actions)


COMMANDS = {
    "reset": Server.reset,
    "fill": Server.fill,
    "trickle": Server.trickle,
    "keep": Server.keep,
    "watch": Server.watch,
    "wait": Server.wait,
    "state": Server.state,
}


def _read(path: str) -> list[bytes]:
    return Path(path).read_bytes().splitlines()


def _write(path: str, messages: list[Message]) -> None:
    lines = [orjson.dumps([message.body, message.attributes]) for message in messages]
    Path(path).write_bytes(b"\n".join(lines))


async def _serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
    if tls and certificate:
        tls.load_cert_chain(certificate)
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
        server = Server(port)
        await loop.create_server(lambda: Connection(server), sock=listening, ssl=tls)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(*sys.argv[1:2] or [None]))
