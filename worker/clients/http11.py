"""HTTP/1.1 on the event loop's own transports: one request at a time on a connection kept open.

aiohttp, around the same parser, makes a call three times as costly. No request is repeated: once it
is written, no one knows whether it was carried out; its caller decides.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from math import inf
from ssl import SSLContext
from typing import cast

import structlog
from aiohappyeyeballs import start_connection
from msgspec import Struct

from worker.clients.http11_reply import MalformedReply, Reading, Reply, ReplyCut
from worker.clients.http_network import SECOND_ADDRESS_SECONDS

KEEP_ALIVE_SECONDS = 12.0
"""The AWS SDK's. A connection that the server closed in the meantime would cost an attempt."""

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Above the largest analytics page seen; keeps one bad reply from filling the container."""

LARGE_BYTES = 64 * 1024
"""A request beyond that is not read in one go."""

LEAST_SECONDS = 0.005
"""A request is not sent with less time than this for its reply."""

CLOSE_SECONDS = 1.0
"""Longest wait for the event loop to let go of aborted connections."""

log = structlog.get_logger(__name__)


class HttpLimits(Struct, frozen=True, kw_only=True):
    """How much one client may wait, hold and read."""

    total_seconds: float
    """All of one call: the wait for a connection, its making, and the reply."""

    connections: int = 64
    """Connections held open or being opened."""

    connect_seconds: float = 3
    """Of name, address and TLS."""

    silence_seconds: float = inf
    """The longest before and within a reply."""

    reply_bytes: int = MAX_REPLY_BYTES
    """Longest body, before and after decompression."""


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are written; all are sendable (`http_network.is_sendable`)."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


class ConnectTimeout(TimeoutError):
    """No connection within its time."""


class Connection(asyncio.Protocol):
    """One connection: either idle, or with one request whose reply is awaited."""

    _transport: asyncio.Transport

    def __init__(
        self, loop: asyncio.AbstractEventLoop, host: str, standing: "set[Connection]"
    ) -> None:
        """`host`: for the log. `standing`: it is in there from its making to its loss."""
        self._loop = loop
        self._host = host
        self._standing = standing
        self._reading: Reading | None = None
        self._answer: asyncio.Future[Reply]
        self._timer: asyncio.TimerHandle | None = None
        """It outlives its request, whose successor needs it later than it comes: one for each took
        2 us. Idle, it comes once and is not set again."""

        self._silence = self._deadline = 0.0
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the connection is lost."""

        self._heard_at = 0.0
        self._is_large = False
        self._clean = False
        """No byte on it is unaccounted for, and neither side has begun to close it."""

        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, for asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's have no base of asyncio's
        self._standing.add(self)
        self._clean = True

    @property
    def is_usable(self) -> bool:
        """Whether it may carry a request."""
        # It may be closing for a turn of the loop before it is said to be lost.
        return self._clean and not self._transport.is_closing()

    def connection_lost(self, error: Exception | None) -> None:
        """End, for asyncio; `error`: None when either side closed."""
        self._standing.discard(self)
        self._set_timer(None)
        self.gone.set_result(None)
        self.end(error if isinstance(error, OSError) else ReplyCut("closed"))

    def eof_received(self) -> None:
        """Take the word of asyncio that the server sends no more."""
        if self._reading is not None and (reply := self._reading.end()) is not None:
            self._answered(reply)
        self.end(ReplyCut("closed"))

    def data_received(self, data: bytes) -> None:
        """Take bytes from asyncio."""
        reading = self._reading
        if reading is None:
            self._drop_unasked()
            return
        try:
            whole = reading.feed(data)
        except (ReplyCut, MalformedReply) as error:
            self.end(error)
            return
        if not whole:
            self._heard_at = self._loop.time()
        elif reading.reply is not None:
            self._answered(reading.reply, keep=reading.keep_alive)
            if reading.surplus:
                self._drop_unasked()

    def ask(self, request: bytes, limits: HttpLimits, deadline: float) -> asyncio.Future[Reply]:
        """Write a request and return its reply to come.

        `deadline`: of the whole reply, by the loop's clock.
        Raises ReplyCut, MalformedReply, TimeoutError and OSError. `release` must follow.
        """
        if not self.is_usable:
            raise ReplyCut("closed")  # since it was made: nothing would report its end any more
        self._reading, self._answer = Reading(limits.reply_bytes), self._loop.create_future()
        self._is_large = len(request) > LARGE_BYTES
        self._heard_at, self._deadline = self._loop.time(), deadline
        self._silence = limits.silence_seconds
        due = min(self._heard_at + self._silence, deadline)
        if self._timer is None or self._timer.when() > due:
            self._set_timer(due)
        self._transport.write(request)
        return self._answer

    def release(self) -> None:
        """End a request: one whose reply is not whole by now was given up, and ends this too."""
        if self._reading is not None:
            self.abort()

    def abort(self) -> None:
        """Close at once: nothing that is under way is of use to anyone."""
        self._clean, self._reading = False, None
        if self in self._standing:
            self._transport.abort()

    def _answered(self, reply: Reply, *, keep: bool = False) -> None:
        # A refusal may come before the rest of a large request was read; TLS transports do not say
        # how much of it is still to be sent.
        self._clean = keep and (reply.status < 400 or not self._is_large)
        self._reading = None
        if not self._answer.done():
            self._answer.set_result(reply)

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if at is None else self._loop.call_at(at, self._check_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._reading is None:
            return
        due = min(self._heard_at + self._silence, self._deadline)
        if self._loop.time() < due:
            self._set_timer(due)
        else:
            self.end(TimeoutError())

    def _drop_unasked(self) -> None:
        # Read as the reply to the next request, it would be the answer to something else.
        log.warning("reply_unasked", host=self._host)
        self.abort()

    def end(self, error: Exception) -> None:
        """Close at once; the call that is under way fails with `error`."""
        if self._reading is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.abort()


class Pool:
    """The connections to one server."""

    def __init__(self, host: str, port: int, tls: SSLContext | None, limits: HttpLimits) -> None:
        """Must be made in the loop. `tls`: None for a server that is spoken to in the clear."""
        self._loop = asyncio.get_running_loop()  # asked for each time, it is a system call
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits
        self._permits = asyncio.Semaphore(limits.connections)
        self._standing: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._closed = False

    async def send(self, request: bytes) -> Reply:
        """Send a whole request and return its reply.

        Raises ReplyCut, MalformedReply, ConnectTimeout, TimeoutError, ssl.SSLError and OSError.
        A cancelled call closes its connection: the reply that is under way is no one's.
        """
        deadline = self._loop.time() + self._limits.total_seconds
        # No time-out here: those before it in the queue began earlier, and end earlier.
        async with self._permits:
            if deadline - self._loop.time() < LEAST_SECONDS:
                raise TimeoutError  # sent now, it might be carried out with no one to hear of it
            connection = self._kept() or await self._opened(deadline)
            try:
                return await connection.ask(request, self._limits, deadline)
            finally:
                connection.release()
                self._keep(connection)

    async def close(self) -> None:
        """Close all connections; calls that are under way fail."""
        self._closed = True
        for connection in tuple(self._standing):
            connection.end(ReplyCut("closed"))
        # The loop closes sockets in its next turns; one that ends before leaves them open.
        if gone := [connection.gone for connection in self._standing]:
            await asyncio.wait(gone, timeout=CLOSE_SECONDS)

    def _kept(self) -> Connection | None:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()  # the one used last: the others may grow old, and go
            if connection.is_usable and now - connection.idle_since < KEEP_ALIVE_SECONDS:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection) -> None:
        now = self._loop.time()
        while self._idle and now - self._idle[0].idle_since >= KEEP_ALIVE_SECONDS:
            self._idle.popleft().abort()
        if connection.is_usable and not self._closed:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            connection.abort()

    async def _opened(self, deadline: float) -> Connection:
        connection = Connection(self._loop, self._host, self._standing)
        by = min(deadline, self._loop.time() + self._limits.connect_seconds)
        try:
            async with asyncio.timeout_at(by):
                await self._connect(connection)
        except BaseException as error:
            connection.abort()  # it may stand already: a call can be cancelled in that moment
            if isinstance(error, TimeoutError):
                raise ConnectTimeout from error
            raise
        if self._closed:
            connection.abort()
            raise ReplyCut("closed")
        return connection

    async def _connect(self, connection: Connection) -> None:
        addresses = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        # uvloop tries one address after the other: a silent one would cost all of the time.
        chosen = await start_connection(
            addresses, happy_eyeballs_delay=SECOND_ADDRESS_SECONDS, loop=self._loop
        )
        await self._loop.create_connection(
            lambda: connection,
            sock=chosen,
            ssl=self._tls,
            server_hostname=self._host.rstrip(".") if self._tls else None,
        )
