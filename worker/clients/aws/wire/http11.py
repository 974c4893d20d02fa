"""HTTP/1.1 on the event loop's own transports: one POST at a time on a connection that stays open.

llhttp, the parser of Node, says what a reply is, in its strict mode. aiohttp, around the same one,
makes a call three times as costly. What is refused here besides: other versions, upgrades, transfer
codings that no one asked for, and sizes. No request is repeated: once it is written, no one knows
whether it was carried out; `call.py` decides as the SDK does.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Mapping
from ssl import SSLContext
from typing import Final, NamedTuple, cast

import structlog
from aiohappyeyeballs import start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from worker.clients.http_network import MAX_HEADER_BYTES, SECOND_ADDRESS_SECONDS

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Ten messages of 1 MiB each, escaped, and something to spare. An answer beyond that is none."""

KEEP_ALIVE_SECONDS = 12.0
"""The SDK's. A connection that AWS closed in the meantime would cost an attempt."""

LARGE_BYTES = 64 * 1024
"""A request beyond that is not read in one go."""

LEAST_SECONDS = 0.005
"""A request is not sent with less time than this for its reply."""

CLOSE_SECONDS = 1.0
"""Longest wait for the event loop to let go of aborted connections."""

VERSIONS: Final = {"1.0", "1.1"}

log = structlog.get_logger(__name__)


class ReplyCut(OSError):
    """The connection ended before the reply was whole, or the reply is beyond the limit."""


class MalformedReply(ValueError):
    """What came is no reply of HTTP/1.1, or none to what was asked."""


class ConnectTimeout(TimeoutError):
    """No connection within its time."""


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Asked for by names in lower case."""

    body: bytes
    until_close: bool = False
    """It gave no length, and ended with its connection: one that was cut looks as whole."""


class Reading:
    """One reply, as far as it has come."""

    __slots__ = (
        *("_chunks", "_headed", "_headers", "_parser", "_received", "_until_close"),
        *("keep_alive", "reply", "surplus"),
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._received = 0
        self._headed = False
        self._until_close = False
        self.reply: Reply | None = None
        self.keep_alive = False
        self.surplus = False
        """Bytes came after the end of the reply."""

    def feed(self, data: bytes) -> bool:
        """Return True once the reply is whole. Raises ReplyCut beyond limits, MalformedReply."""
        # Of all that arrives: the framing of small chunks, and trailers, may outgrow the body.
        self._received += len(data)
        if self._received > MAX_BODY_BYTES:
            raise ReplyCut("too large")
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.reply is None:
                raise MalformedReply(str(error)) from error
            self.surplus = True
        if not self._headed and self._received > MAX_HEADER_BYTES:
            raise MalformedReply("headers too large")
        if self.reply is None:
            return False
        # It and the parser hold each other: the two would wait for the garbage collector.
        del self._parser
        return True

    def end(self) -> Reply | None:
        """Return the reply if the end of the connection is its end, too."""
        if self._until_close and self.reply is None:
            self._finish(keep_alive=False)
        return self.reply

    def on_message_begin(self) -> None:
        """Note, for the parser, that a reply begins; a second one was not asked for."""
        self.surplus = self.reply is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header from the parser. Trailers are dropped: they are no part of an answer."""
        if not self._headed:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            known = self._headers.get(key)
            self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Check a head, for the parser. What is raised here, `feed` raises as MalformedReply."""
        if self.reply is not None:
            return
        status, headers = self._parser.get_status_code(), self._headers
        if self._parser.get_http_version() not in VERSIONS or status < 100 or status == 101:
            raise MalformedReply("status line")
        if self._received > MAX_HEADER_BYTES < sum(map(len, (*headers, *headers.values()))):
            raise MalformedReply("headers too large")
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise MalformedReply("transfer coding")
        self._headed = True
        self._until_close = (
            coding is None and "content-length" not in headers and status not in {204, 304}
        )

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body from the parser."""
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        """Finish, for the parser, unless it was an interim reply, which is no answer."""
        if self.reply is not None:
            return
        if self._parser.get_status_code() < 200:
            self._headers, self._headed, self._until_close = {}, False, False
            return
        self._finish(keep_alive=self._parser.should_keep_alive())

    def _finish(self, *, keep_alive: bool) -> None:
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        status = self._parser.get_status_code()
        self.reply = Reply(status, self._headers, body, self._until_close)
        self.keep_alive = keep_alive


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

    def ask(self, request: bytes, silence: float, deadline: float) -> asyncio.Future[Reply]:
        """Write a request and return its reply to come.

        `silence`: the longest, in seconds; `deadline`: of the whole reply, by the loop's clock.
        Raises ReplyCut, MalformedReply, TimeoutError and OSError. `release` must follow.
        """
        if not self.is_usable:
            raise ReplyCut("closed")  # since it was made: nothing would report its end any more
        self._reading, self._answer = Reading(), self._loop.create_future()
        self._is_large = len(request) > LARGE_BYTES
        self._heard_at, self._silence, self._deadline = self._loop.time(), silence, deadline
        due = min(self._heard_at + silence, deadline)
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
        log.warning("aws_reply_unasked", host=self._host)
        self.abort()

    def end(self, error: Exception) -> None:
        """Close at once; the call that is under way fails with `error`."""
        if self._reading is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.abort()


class Pool:
    """The connections to one server."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: SSLContext | None,
        *,
        size: int,
        connect_seconds: float,
        silence_seconds: float,
        total_seconds: float,
    ) -> None:
        """Must be made in the loop. `tls`: None for a server that is spoken to in the clear.

        `size`: connections at most. `silence_seconds`, `total_seconds`: of one call; the total
        holds the wait for a connection, and its making.
        """
        self._loop = asyncio.get_running_loop()  # asked for each time, it is a system call
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._total_seconds = total_seconds
        self._permits = asyncio.Semaphore(size)
        self._standing: set[Connection] = set()
        self._idle: deque[Connection] = deque()
        self._closed = False

    async def post(self, request: bytes) -> Reply:
        """Send a whole request and return its reply.

        Raises ReplyCut, MalformedReply, ConnectTimeout, TimeoutError, ssl.SSLError and OSError.
        A cancelled call closes its connection: the reply that is under way is no one's.
        """
        deadline = self._loop.time() + self._total_seconds
        # No time-out here: those before it in the queue began earlier, and end earlier.
        async with self._permits:
            if deadline - self._loop.time() < LEAST_SECONDS:
                raise TimeoutError  # sent now, it might be carried out with no one to hear of it
            connection = self._kept() or await self._opened(deadline)
            try:
                return await connection.ask(request, self._silence_seconds, deadline)
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
        by = min(deadline, self._loop.time() + self._connect_seconds)
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
