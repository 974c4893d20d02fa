"""A server of bytes: it answers with whatever it is given, framed or not."""

import asyncio
from contextlib import asynccontextmanager, suppress


class RawServer:
    """Answers each request with the next of `replies`, the last one for ever.

    A reply is a list of bytes, each written for itself, of seconds to pause, and `None` to close.
    """

    def __init__(self):
        self.url = ""
        self.replies = []
        self.asked = 0
        self.opened = 0
        self.standing = {}
        """Writers of the connections that stand, by number."""

        self.closed = asyncio.Event()
        """A connection was closed from the other side."""

        self.waiting = asyncio.Event()
        """A request arrived, and its reply is none."""

        self.reads_bodies = True

    async def serve(self, reader, writer):
        self.opened += 1
        number = self.opened
        self.standing[number] = writer
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._asked(reader):
                self.asked += 1
                if not await self._answered(writer):
                    break
        del self.standing[number]
        writer.close()
        self.closed.set()

    async def _asked(self, reader):
        if not self.reads_bodies and self.asked:
            await asyncio.Event().wait()  # and reads nothing more
        head = await reader.readuntil(b"\r\n\r\n")
        if self.reads_bodies:
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        return True

    async def _answered(self, writer):
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if not reply:
            self.waiting.set()
        for piece in reply:
            if piece is None:
                return False
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            writer.write(piece)
            await writer.drain()
        return True

    def say(self, data):
        """Write on all connections, unasked."""
        for writer in self.standing.values():
            writer.write(data)

    def hang_up(self):
        for writer in self.standing.values():
            writer.close()


@asynccontextmanager
async def a_raw_server(tls=None):
    raw = RawServer()
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    raw.url = f"{'https' if tls else 'http'}://localhost:{port}"
    try:
        yield raw
    finally:
        server.close()
        for writer in tuple(raw.standing.values()):
            writer.transport.abort()
        await server.wait_closed()
