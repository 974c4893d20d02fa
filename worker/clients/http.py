"""The one place that makes HTTP clients: httpx's API over connections of our own.

Never httpx's own pool: measured with httpx 0.28 it dies for good after some thousand cancelled
requests (and every deadline here cancels one), and it costs 10 times the CPU per request.

And httpx's transport API, not its `AsyncClient`: that one's cookies, redirects, hooks and merging
of headers are all things that must not happen here, and they are half of the CPU of a call.

The bytes of a URL go out as they came in: a signature was made over them. httpx would write them
anew (`%2F` as `/`, `%2e%2e` as a step up).
"""

import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import orjson
from msgspec import Struct

from worker.clients.http11_reply import ReplyTooLarge
from worker.clients.http_network import ProxyRefused, is_sendable
from worker.clients.http_transport import HttpLimits, content_of, no_reply_reason, transport_to
from worker.clients.http_types import Reply, Request, failure_of, no_way_through
from worker.errors import ConfigurationError, Permanent, Unavailable, Unreadable
from worker.resilience import Guard

__all__ = ["HttpClient", "HttpLimits", "HttpService", "Sender", "checked_base_url"]

T = TypeVar("T")

FAILURES = (OSError, ValueError)
"""All that a request may end with in place of a reply. ValueError: of what no parser took."""

NO_HEADERS: Mapping[str, str] = {}
SENT_HEADERS = {
    "User-Agent": "genesys-event-worker",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",  # only what `_unzipped` reads within bounds
}
SENT_WITH_JSON = {**SENT_HEADERS, "Content-Type": "application/json"}
SENT_WITH_FORM = {**SENT_HEADERS, "Content-Type": "application/x-www-form-urlencoded"}


class Sender(Protocol):
    """Sends requests: `HttpClient`, or what keeps back those that would change something."""

    async def send(self, request: Request, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Return the reply to a request, whatever its status; `headers`: beside its own."""


class HttpClient:
    """HTTP to one upstream, whose address comes from the settings and never from an event."""

    def __init__(
        self, upstream: str, base_url: str, limits: HttpLimits, *, plain_host: str | None = None
    ) -> None:
        """`upstream` names it in errors. `plain_host`: reached without TLS, like loopback.

        Raises ConfigurationError for an unsafe `base_url`.
        """
        self._upstream = upstream
        base_url = checked_base_url(upstream, base_url, plain_host=plain_host)
        self._reply_bytes = limits.reply_bytes
        self._url = httpx.URL(base_url)
        self._path = urlsplit(base_url).path
        self._transport = transport_to(base_url, limits)

    async def send(self, request: Request, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Send a request and return its reply of any status; `headers`: beside its own.

        Raises Unavailable when no whole reply came, Misconfigured when the proxy does not let the
        request through, Permanent when a success is too large or when
        the request cannot exist.
        """
        try:
            out = self._out(request, headers)
        except (ValueError, orjson.JSONEncodeError) as error:
            raise Permanent(f"{self._upstream}: unsendable ({type(error).__name__})") from None
        try:
            response = await self._transport.handle_async_request(out)
        except ReplyTooLarge as error:
            raise self._too_large(error.status) from error
        except FAILURES as error:
            reason = f"{self._upstream}: {no_reply_reason(error)}"
            if isinstance(error, ProxyRefused):
                raise no_way_through(reason) from error
            raise Unavailable(reason) from error
        return self._reply(response)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _out(self, request: Request, headers: Mapping[str, str]) -> httpx.Request:
        if request.method == "HEAD":
            raise ValueError("its reply has the length of a body, and none")
        # Target and headers beside httpx's own: those it would take apart, and these it would
        # encode for the transport to decode. By `stream`, not by `content`, for the same reason.
        target = self._path + _UNSENDABLE.sub(_quoted, request.path)
        beside = {"target": target or "/", "headers": _headers(request, headers)}
        content = httpx.ByteStream(_content(request))
        return httpx.Request(request.method, self._url, stream=content, extensions=beside)

    def _reply(self, response: httpx.Response) -> Reply:
        headers: Mapping[str, str] = response.extensions["headers"]
        whole = content_of(response)
        if whole and (coding := headers.get("content-encoding")):
            whole = self._plain(whole, coding)
        if len(whole) > self._reply_bytes:
            raise self._too_large(response.status_code)
        return Reply(
            status=response.status_code,
            headers=headers,
            body=whole,
            received_at=datetime.now(UTC),
        )

    def _plain(self, body: bytes, coding: str) -> bytes:
        for _ in range(_times_zipped(coding)):
            # Nothing is not even gzip, whatever a 202 says of it.
            body = _unzipped(self._upstream, body, self._reply_bytes + 1) if body else body
        return body

    def _too_large(self, status: int) -> Unavailable | Permanent:
        reason = f"{self._upstream}: reply larger than {self._reply_bytes} bytes ({status})"
        # The same question will have the same long answer; an error page says nothing about that.
        return Permanent(reason) if status < 300 else Unavailable(reason)


def checked_base_url(upstream: str, url: str, *, plain_host: str | None = None) -> str:
    """Return `url` without its last slash; raise ConfigurationError if it is not safe to call."""
    try:
        parts, parsed = urlsplit(url), httpx.URL(url)
        _ = parts.port  # checks it
    except (ValueError, httpx.InvalidURL):
        raise ConfigurationError([f"{upstream}: not an http(s) URL"]) from None
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ConfigurationError([f"{upstream}: not an http(s) URL"])
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError([f"{upstream}: user info, query or fragment in the URL"])
    plain = parts.hostname == plain_host or _is_loopback(parts.hostname)
    if parts.scheme == "http" and not plain:
        raise ConfigurationError([f"{upstream}: https is required unless the host is loopback"])
    origin = f"{parsed.scheme}://{parsed.netloc.decode()}"
    return f"{origin}{_UNSENDABLE.sub(_quoted, parts.path)}".rstrip("/")


_UNSENDABLE = re.compile(r"[^!-~]|#")
"""What no request line can hold, in a path and its query; all else goes out as it came in."""


def _quoted(character: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in character[0].encode())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _content(request: Request) -> bytes:
    if request.form is not None:
        return urlencode(request.form).encode()
    return b"" if request.json is None else orjson.dumps(request.json)


def _headers(request: Request, more: Mapping[str, str]) -> dict[str, str]:
    kind = SENT_WITH_FORM if request.form is not None else SENT_WITH_JSON
    if request.form is None and request.json is None:
        kind = SENT_HEADERS
    found = {**kind, **request.headers, **more}
    if not is_sendable("".join((*found, *found.values()))):
        raise ValueError("a header")
    return found


GZIP = b"\x1f\x8b"
ZIPPED_PIECE_BYTES = 64 * 1024
MOST_MEMBERS = 1000
"""Parts of a gzip file, each with a header of its own: far above what servers write."""


def _times_zipped(content_encoding: str) -> int:
    """Return how often a body was compressed, as far as it was by gzip, and by nothing else."""
    named = [name.strip().lower() for name in content_encoding.split(",")]
    zipped = [name for name in named if name not in {"", "identity"}]
    return min(len(zipped), 3) if {"gzip", "x-gzip"}.issuperset(zipped) else 0


def _unzipped(upstream: str, body: bytes, limit: int) -> bytes:
    """Decompress all members, to `limit` bytes at most: a bomb is cut off, not unpacked."""
    if not body.startswith(GZIP):
        raise Unreadable(f"{upstream}: unreadable gzip")
    plain, start, members = bytearray(), 0, 0
    while body.startswith(GZIP, start) and len(plain) < limit and members < MOST_MEMBERS:
        part, start = _member(upstream, body, start, limit - len(plain))
        plain += part
        members += 1
    return bytes(plain)


def _member(upstream: str, body: bytes, start: int, limit: int) -> tuple[bytes, int]:
    """Return what one member holds, and where it ends."""
    reader, plain = zlib.decompressobj(wbits=31), bytearray()
    while not reader.eof and len(plain) < limit:
        piece = body[start : start + ZIPPED_PIECE_BYTES]
        try:
            plain += reader.decompress(piece, limit - len(plain))
        except zlib.error:
            raise Unreadable(f"{upstream}: unreadable gzip") from None
        if not piece:
            raise Unreadable(f"{upstream}: gzip cut short")
        start += len(piece) - len(reader.unused_data)
    return bytes(plain), start


class HttpService(Struct, frozen=True):
    """An HTTP endpoint with its guard."""

    name: str
    client: Sender
    guard: Guard
    setting: str | None = None
    """Where its credentials are; None: `name` says enough."""

    async def send(self, request: Request, *, repeatable: bool = False) -> Reply:
        """Send a request and return the reply of 2xx.

        `repeatable`: sent again when it may have arrived. Raises Rejected for another status that
        is the request's fault, Transient otherwise.
        """
        return await self.ask(request, self._succeeded, repeatable=repeatable)

    async def ask(
        self, request: Request, read: Callable[[Reply], T], *, repeatable: bool = True
    ) -> T:
        """Send a request and return what `read` makes of the reply, whatever its status.

        What it raises of WorkerError counts as the endpoint's: Unavailable is tried again and
        opens the breaker, Rejected does not.
        """

        async def attempt() -> T:
            return read(await self.client.send(request))

        return await self.guard.call(attempt, repeatable=repeatable)

    def _succeeded(self, reply: Reply) -> Reply:
        if not 200 <= reply.status < 300:
            raise failure_of(self.name, reply, self.setting)
        return reply
