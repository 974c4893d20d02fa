"""What stands between the worker and SQS: a wire that drips, and a server that never answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

BYTES = 65_536
DRIP_SECONDS = 1.0


@asynccontextmanager
async def listening(serve: Callable) -> AsyncIterator[int]:
    """Accept connections within the block; give the port. All of them end with it."""
    tasks: set[asyncio.Task] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        except asyncio.CancelledError:
            pass  # our end, not a failure: asyncio would log it
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def half_open() -> AsyncIterator[str]:
    """Take connections and requests, and answer none; give the URL."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(BYTES):
            pass

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


class Drip:
    """A proxy whose replies to some actions come a byte a second while it is on."""

    def __init__(self, target: str, action: str) -> None:
        """`target`: URL of the server. `action`: beginning of the SQS actions meant."""
        self._host, _, port = target.removeprefix("http://").partition(":")
        self._port = int(port)
        self._mark = f"amazonsqs.{action}".lower().encode()
        self.on = False
        self.dripped = 0
        """Replies that began to drip."""

        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Drip"]:
        """Listen within the block; `url` is set from here on."""
        async with listening(self._serve) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        marked = asyncio.Event()  # the latest request on this connection is one of those meant
        try:
            await asyncio.gather(
                self._there(reader, far_writer, marked), self._back(far_reader, writer, marked)
            )
        finally:
            far_writer.transport.abort()

    async def _there(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event
    ) -> None:
        while chunk := await reader.read(BYTES):
            head = chunk.lower()
            if b"x-amz-target" in head:
                (marked.set if self._mark in head else marked.clear)()
            writer.write(chunk)
            await writer.drain()
        writer.transport.abort()

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event
    ) -> None:
        while chunk := await reader.read(BYTES):
            if not (self.on and marked.is_set()):
                writer.write(chunk)
                await writer.drain()
                continue
            self.dripped += 1
            for place in range(len(chunk)):
                writer.write(chunk[place : place + 1])
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
        writer.transport.abort()
