"""A forward proxy that keeps what it was asked for."""

import asyncio
from contextlib import asynccontextmanager


class Proxy:
    """Answers CONNECT by passing bytes on, to a port of this machine whatever the host's name."""

    def __init__(self):
        self.url = ""
        self.heads = []
        self.routes = {}

    @property
    def hosts(self):
        return [head.split()[1].decode() for head in self.heads]

    async def serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            host, _, port = head.split()[1].decode().rpartition(":")
            there_reader, there = await asyncio.open_connection(
                "127.0.0.1", self.routes.get(host, int(port))
            )
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(_passed(reader, there), _passed(there_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


async def _passed(reader, writer):
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
    finally:
        writer.close()


@asynccontextmanager
async def a_proxy():
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy
