"""The one place that makes HTTP clients: httpx's API over an aiohttp connection pool.

Never httpx's own pool: measured with httpx 0.28 it dies for good after some thousand cancelled
requests (and every deadline here cancels one), and it costs 10 times the CPU per request.

And httpx's transport API, not its `AsyncClient`: that one's cookies, redirects, hooks and merging
of headers are all things that must not happen here, and they are half of the CPU of a call.

The bytes of a URL go out as they came in: a signature was made over them. httpx and aiohttp would
both write them anew (`%2F` as `/`, `%2e%2e` as a step up).
"""

import re
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from msgspec import Struct
from yarl import URL

from worker.clients.http_network import MAX_HEADER_BYTES, proxy_for, trusted
from worker.clients.http_types import Reply, Request, failure_of, no_way_through
from worker.errors import ConfigurationError, Permanent, Unavailable, Unreadable
from worker.resilience import Deadline, Guard

T = TypeVar("T")

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Above the largest analytics page seen; keeps one bad reply from filling the container."""

KNOWN_PATHS = 64
"""Parsed URLs that a client remembers: most calls go to one or two, and parsing is not cheap."""

FAILURES = (
    httpx.HTTPError,
    httpx.StreamError,
    aiohttp.ClientError,
    aiohttp.http_exceptions.HttpProcessingError,
    OSError,
    ValueError,
)
"""All that a request may end with in place of a reply. aiohttp's own too: the transport maps the
common ones only. ValueError: of what no parser took."""

NO_HEADERS: Mapping[str, str] = {}
SENT_HEADERS = {
    "User-Agent": "genesys-event-worker",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",  # only what `_unzipped` reads within bounds
}
SENT_WITH_JSON = {**SENT_HEADERS, "Content-Type": "application/json"}
SENT_WITH_FORM = {**SENT_HEADERS, "Content-Type": "application/x-www-form-urlencoded"}


class HttpLimits(Struct, frozen=True, kw_only=True):
    """How much one client may wait, hold and read."""

    total_seconds: float
    """Longest time for one request and its reply, from the wait for a connection to its end."""

    connections: int = 64
    """Connections held open or being opened."""

    connect_seconds: float = 3
    reply_bytes: int = MAX_REPLY_BYTES
    """Longest body, before and after decompression."""


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
        self._base_url = checked_base_url(upstream, base_url, plain_host=plain_host)
        self._limits = limits
        self._transport = _Transport(limits, proxy_for(self._base_url), _trust(self._base_url))
        self._url = httpx.URL(self._base_url)
        self._url_of = lru_cache(KNOWN_PATHS)(self._parsed)

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
            with Deadline(self._limits.total_seconds):
                response = await self._transport.handle_async_request(out)
                stream = cast("httpx.AsyncByteStream", response.stream)
                try:
                    return await self._reply(response, stream)
                finally:
                    await stream.aclose()
        except FAILURES as error:
            reason = f"{self._upstream}: {_named(error)}"
            if isinstance(error, aiohttp.ClientHttpProxyError) and error.status in {403, 407}:
                raise no_way_through(reason) from error
            raise Unavailable(reason) from error

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
        # A query may be a phone number: those URLs are in no cache.
        find = self._parsed if "?" in request.path else self._url_of
        # URL and headers beside httpx's own: those it would take apart, and these it would encode
        # for aiohttp to decode. By `stream`, not by `content`, for the same reason.
        beside = {"target": find(request.path), "headers": _headers(request, headers)}
        content = httpx.ByteStream(_content(request))
        out = httpx.Request(request.method, self._url, stream=content, extensions=beside)
        out.read()
        return out

    def _parsed(self, path: str) -> URL:
        return URL(self._base_url + _UNSENDABLE.sub(_quoted, path), encoded=True)

    async def _reply(self, response: httpx.Response, stream: httpx.AsyncByteStream) -> Reply:
        limit = self._limits.reply_bytes
        headers = _received(response.extensions["headers"])
        body = bytearray()
        async for chunk in stream:
            body += chunk
            if len(body) > limit:
                raise self._too_large(response.status_code)
        whole = bytes(body)
        if whole and (coding := headers.get("content-encoding")):
            # Nothing is not even gzip, whatever a 202 says of it.
            for _ in range(_times_zipped(coding)):
                whole = _unzipped(self._upstream, whole, limit + 1) if whole else whole
        if len(whole) > limit:
            raise self._too_large(response.status_code)
        return Reply(
            status=response.status_code,
            headers=headers,
            body=whole,
            received_at=datetime.now(UTC),
        )

    def _too_large(self, status: int) -> Unavailable | Permanent:
        reason = f"{self._upstream}: reply larger than {self._limits.reply_bytes} bytes ({status})"
        # The same question will have the same long answer; an error page says nothing about that.
        return Permanent(reason) if status < 300 else Unavailable(reason)


def _named(error: Exception) -> str:
    """Return the class of what went wrong, not its text, which holds URLs.

    Of aiohttp's error where there is one, and of the system's below it: the transport takes a
    refused connection and a name without an address for a `ConnectTimeout`.
    """
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"the proxy of HTTPS_PROXY answers {cause.status}"
    if isinstance(cause, aiohttp.ClientProxyConnectionError):
        return f"the proxy of HTTPS_PROXY is not reached: {type(cause.os_error).__name__}"
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return "the certificate is not trusted; SSL_CERT_FILE names private authorities"
    if isinstance(cause, aiohttp.ClientConnectorError):
        cause = cause.os_error
    if isinstance(cause, UnicodeError):  # a part of the name is longer than one can be
        return "the host name is not valid"
    return type(cause).__name__


def checked_base_url(upstream: str, url: str, *, plain_host: str | None = None) -> str:
    """Return `url` without its last slash; raise ConfigurationError if it is not safe to call."""
    try:
        parts, origin = urlsplit(url), URL(url).origin()
    except ValueError:
        raise ConfigurationError([f"{upstream}: not an http(s) URL"]) from None
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ConfigurationError([f"{upstream}: not an http(s) URL"])
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError([f"{upstream}: user info, query or fragment in the URL"])
    plain = parts.hostname == plain_host or _is_loopback(parts.hostname)
    if parts.scheme == "http" and not plain:
        raise ConfigurationError([f"{upstream}: https is required unless the host is loopback"])
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


class _Transport(AiohttpTransport):
    """httpx-aiohttp's, which would hand aiohttp a URL as text, to be quoted anew.

    Headers go past httpx's own type, both ways: it encodes and decodes each of them several times.
    """

    def __init__(self, limits: HttpLimits, proxy: str | None, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, client=lambda: _session(limits, tls))
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to its extension `target`, a URL that is quoted already.

        The extension `headers` has its headers, and that of the response the raw ones of the reply.
        """
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        # Not as a context: `_Body` releases it.
        response = await self.client.request(
            request.method,
            request.extensions["target"],
            headers=request.extensions["headers"],
            data=request.content or None,
            allow_redirects=False,
            proxy=self._proxy,
        )
        return httpx.Response(
            response.status,
            stream=_Body(response),
            extensions={"headers": response.raw_headers},
        )


def _trust(base_url: str) -> ssl.SSLContext:
    """Return whom to trust. Without TLS none: to read the authorities takes 20 ms and a MiB."""
    return trusted() if base_url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Body(httpx.AsyncByteStream):
    """The body of a reply; aiohttp's errors pass, which httpx-aiohttp's own would rename."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._response.content.readany():
            yield chunk

    async def aclose(self) -> None:
        await self._response.__aexit__(None, None, None)


def _session(limits: HttpLimits, tls: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limits.connections, keepalive_timeout=15, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # Only of connecting: `total_seconds` bounds all the others.
        timeout=aiohttp.ClientTimeout(sock_connect=limits.connect_seconds),
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


def _content(request: Request) -> bytes:
    if request.form is not None:
        return urlencode(request.form).encode()
    return b"" if request.json is None else orjson.dumps(request.json)


def _headers(request: Request, more: Mapping[str, str]) -> dict[str, str]:
    kind = SENT_WITH_FORM if request.form is not None else SENT_WITH_JSON
    if request.form is None and request.json is None:
        kind = SENT_HEADERS
    found = {**kind, **request.headers, **more}
    "".join((*found, *found.values())).encode("ascii")  # aiohttp would send UTF-8
    return found


def _received(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return names in lower case."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
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
