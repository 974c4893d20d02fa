"""HTTP/1.1 with nothing that an SQS client does not use: the server must not be the bottleneck."""

import asyncio
import re
from collections.abc import Callable

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TARGET = re.compile(rb"\r\nx-amz-target: *([\w.]+)", re.IGNORECASE)
REASONS = {200: b"OK", 400: b"Bad Request"}


class Exchange:
    """One request, to be answered once, now or later."""

    __slots__ = ("_connection", "_head", "body", "target")

    def __init__(
        self, connection: "Connection", target: str, body: bytes, head: bytes = b""
    ) -> None:
        self._connection = connection
        self._head = head
        self.target = target
        self.body = body

    @property
    def alone(self) -> bool:
        """Whether the client has hung up."""
        return self._connection.closed

    @property
    def path(self) -> str:
        """What the request line asks for."""
        return self._head.split(b" ", 2)[1].decode()

    def answer(self, content: bytes, *, status: int = 200, delay_seconds: float = 0.0) -> None:
        """Answer; the delay costs no other anything."""
        head = (
            b"HTTP/1.1 %d %b\r\nContent-Type: application/x-amz-json-1.0\r\n"
            b"x-amzn-RequestId: 0\r\nContent-Length: %d\r\n\r\n"
        ) % (status, REASONS[status], len(content))
        if delay_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_seconds, self._connection.write, head + content)
        else:
            self._connection.write(head + content)


class Connection(asyncio.Protocol):
    """A connection that is kept open for any number of requests, one at a time."""

    def __init__(self, serve: Callable[[Exchange], None]) -> None:
        self._serve = serve
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that no one listens any more."""
        self.closed = True

    def data_received(self, data: bytes) -> None:
        """Serve each request that is there as a whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, begin = self._buffer[:end], end + 4
            length = LENGTH.search(head)
            stop = begin + (int(length[1]) if length else 0)
            if len(self._buffer) < stop:
                return
            body, self._buffer = self._buffer[begin:stop], self._buffer[stop:]
            target = TARGET.search(head)
            named = target[1].decode() if target else ""
            self._serve(Exchange(self, named, body, head))

    def write(self, content: bytes) -> None:
        """Send, if there is still someone to send to."""
        if not self.closed and self._transport is not None:
            self._transport.write(content)
