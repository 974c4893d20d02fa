"""HTTP for operators, bounded: one thread, few connections, a deadline for each.

Not `http.server`: a thread for each connection lets a client that opens hundreds use up the
process's descriptors, and its time-out begins anew with every byte.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus

import structlog
from msgspec import Struct

MAX_CONNECTIONS = 32

REQUEST_SECONDS = 5.0
"""From accept to the last byte of the answer, however the client goes about it."""

CLIENT_SECONDS = 2.0
"""Longest silence of a client within that."""

HOLD_SECONDS = 0.25
"""How long a connection may hold its place while others wait for one. The longest held goes first,
so a probe gets its answer past any number of viewers, and those who come back at once cannot drive
it out."""

MAX_HEAD_BYTES = 8192
ACCEPTS_PER_ROUND = 8
"""So that those who are there are served between two crowds of new ones."""

IDLE_SECONDS = 1.0

TEXT = "text/plain; charset=utf-8"

Page = tuple[int, str, bytes]
"""Status, content type, body."""

SAFETY = (
    "Cache-Control: no-store",
    "X-Content-Type-Options: nosniff",
    "Content-Security-Policy: frame-ancestors 'none'",
)
"""Headers of every answer: it is of this moment, it is what its type says, and no page frames it.
The page's own policy, which knows its script and style, stands in the page."""

log = structlog.get_logger(__name__)


class Request(Struct, frozen=True):
    """What was asked for."""

    method: str
    path: str
    accept: str


class Connections:
    """Serves some listening sockets in the thread that calls `run`."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        answer: Callable[[Request], Page],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`answer`: makes the page; waits for nothing and does not raise."""
        self._listeners = listeners
        self._answer = answer
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._open: dict[_Connection, None] = {}  # in the order of their arrival
        self._listening = False
        self._deaf_until = 0.0
        self._stopped = False
        self._waker, self._wake = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopped:
            try:
                self._round()
            except Exception as error:
                # The probes' only server must live on.
                log.warning("ops_server_failed", exc_info=error)
                time.sleep(HOLD_SECONDS)
        self.close()

    def stop(self) -> None:
        """End `run` soon; from any thread."""
        self._stopped = True
        # Closed, not written to: `run` may see the flag and close both ends before we get here.
        self._waker.close()

    def close(self) -> None:
        """Let go of all sockets."""
        for connection in list(self._open):
            self._drop(connection)
        for each in (*self._listeners, self._waker, self._wake):
            each.close()
        self._selector.close()

    def _round(self) -> None:
        self._listen(self._clock() >= self._accepts_at())
        newcomers = []
        for key, _ in self._selector.select(self._select_seconds()):
            if isinstance(key.data, _Connection):
                self._serve(key.data)
            elif key.fileobj is not self._wake:
                newcomers.append(key.fileobj)
        for connection in [each for each in self._open if each.is_late(self._clock())]:
            self._drop(connection)
        for listener in newcomers:
            if isinstance(listener, socket.socket):
                self._accept(listener)

    def _accepts_at(self) -> float:
        """Return the time from which a newcomer is let in."""
        if len(self._open) < MAX_CONNECTIONS:
            return self._deaf_until
        return max(self._deaf_until, next(iter(self._open)).opened + HOLD_SECONDS)

    def _listen(self, wanted: bool) -> None:  # noqa: FBT001  a state, not a mode
        # Unregistered while the limit is reached: new connections wait in the kernel and wake no
        # thread.
        if wanted == self._listening:
            return
        self._listening = wanted
        for listener in self._listeners:
            if wanted:
                self._selector.register(listener, selectors.EVENT_READ)
            else:
                self._selector.unregister(listener)

    def _select_seconds(self) -> float:
        now = self._clock()
        waits = [each.deadline - now for each in self._open]
        if not self._listening:
            waits.append(self._accepts_at() - now)
        return max(0.0, min(waits, default=IDLE_SECONDS))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_ROUND):
            if self._clock() < self._accepts_at():
                return
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # Out of descriptors, most likely: asked again at once, it would only spin.
                self._deaf_until = self._clock() + HOLD_SECONDS
                return
            self._drop_if_full()
            client.settimeout(0)
            connection = _Connection(client, self._clock)
            self._open[connection] = None
            self._selector.register(client, selectors.EVENT_READ, connection)

    def _drop_if_full(self) -> None:
        """Drop the longest held, if there are as many as may be."""
        if len(self._open) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._open)))

    def _serve(self, connection: "_Connection") -> None:
        try:
            events = connection.proceed(self._answer)
        except OSError:  # the client went away
            events = 0
        if events:
            self._selector.modify(connection.socket, events, connection)
        else:
            self._drop(connection)

    def _drop(self, connection: "_Connection") -> None:
        del self._open[connection]
        self._selector.unregister(connection.socket)
        connection.socket.close()


class _Connection:
    """One request and its answer: read the head, write the page, see the client off."""

    def __init__(self, client: socket.socket, clock: Callable[[], float]) -> None:
        self.socket = client
        self._clock = clock
        self.opened = self._heard = clock()
        self._head = bytearray()
        self._reply = memoryview(b"")
        self._answered = False

    @property
    def deadline(self) -> float:
        """When it is dropped, at the latest."""
        return min(self.opened + REQUEST_SECONDS, self._heard + CLIENT_SECONDS)

    def is_late(self, now: float) -> bool:
        """Return whether its time is up."""
        return now >= self.deadline

    def proceed(self, answer: Callable[[Request], Page]) -> int:
        """Do what can be done without waiting; return the events to wait for, 0 for none."""
        if not self._answered and not self._read(answer):
            return selectors.EVENT_READ if self._head else 0
        if self._reply:
            self._write()
            return selectors.EVENT_WRITE if self._reply else selectors.EVENT_READ
        # Closed with bytes unread, the kernel would reset the connection, and the answer be lost.
        return selectors.EVENT_READ if self.socket.recv(MAX_HEAD_BYTES) else 0

    def _read(self, answer: Callable[[Request], Page]) -> bool:
        """Read on; True once there is an answer."""
        seen = max(0, len(self._head) - 3)
        data = self.socket.recv(4096)
        if not data:
            self._head.clear()
            return False
        self._heard = self._clock()
        self._head += data
        complete = self._head.find(b"\n\r\n", seen) >= 0 or self._head.find(b"\n\n", seen) >= 0
        if complete:
            self._reply = memoryview(reply_to(bytes(self._head), answer))
        elif len(self._head) > MAX_HEAD_BYTES:
            self._reply = memoryview(_reply((431, TEXT, b"this is too much to read\n"), "GET"))
        self._answered = bool(self._reply)
        return self._answered

    def _write(self) -> None:
        try:
            sent = self.socket.send(self._reply)
        except BlockingIOError:
            return
        self._heard = self._clock()
        self._reply = self._reply[sent:]
        if not self._reply:
            self.socket.shutdown(socket.SHUT_WR)


def reply_to(head: bytes, answer: Callable[[Request], Page]) -> bytes:
    """Return the bytes that answer a request with this head."""
    request = read_head(head)
    if request is None:
        return _reply((400, TEXT, b"this is no HTTP request\n"), "GET")
    return _reply(answer(request), request.method)


def read_head(head: bytes) -> Request | None:
    """Return the request of this head, or None. What is odd in a header is no reason to refuse."""
    lines = head.decode("latin-1").lstrip("\r\n").split("\n")
    fields = lines[0].split()
    if len(fields) != 3 or not fields[2].startswith("HTTP/1."):
        return None
    method, target, _ = fields
    scheme, absolute, rest = target.partition("://")
    if absolute and scheme.isalpha():
        target = "/" + rest.partition("/")[2]
    return Request(method, target.partition("?")[0], ",".join(_values(lines[1:], "accept")))


def _values(lines: Iterable[str], name: str) -> Iterable[str]:
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            yield value.strip().replace("\r", " ")  # some of it comes back in a header of ours


def _reply(page: Page, method: str) -> bytes:
    status, content_type, body = page
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Server: worker",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *SAFETY,
        *(["Allow: GET, HEAD"] if status == 405 else []),
    ]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" else head + body
