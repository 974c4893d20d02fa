"""The one place that makes HTTP clients: httpx's API over an aiohttp connection pool.

Never httpx's own pool: measured with httpx 0.28 it dies for good after some thousand cancelled
requests (and every deadline here cancels one), and it costs 4 to 5 times the CPU per request.
"""

import asyncio
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from worker.clients.exchange import Reply, Request
from worker.errors import ConfigurationError, Permanent, Unavailable

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Above the largest analytics page seen; keeps one bad reply from filling the container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much one client may wait, hold and read."""

    total_seconds: float
    """Longest time for one exchange, from the wait for a connection to the last byte."""

    connections: int = 64
    """Connections held open or being opened."""

    connect_seconds: float = 3
    reply_bytes: int = MAX_REPLY_BYTES
    """Longest body, before and after decompression."""


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
        self._client = _open(limits)

    async def send(self, request: Request) -> Reply:
        """Exchange one request for one reply of any status.

        Raises Unavailable when no whole reply came, Permanent when a success is too large.
        """
        with translated(self._upstream):
            async with (
                asyncio.timeout(self._limits.total_seconds),
                self._client.stream(
                    request.method,
                    self._base_url + request.path,
                    content=_content(request),
                    headers=_headers(request),
                ) as response,
            ):
                return await self._reply(response)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _reply(self, response: httpx.Response) -> Reply:
        limit = self._limits.reply_bytes
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                raise self._too_large(response.status_code)
        whole = bytes(body)
        if response.headers.get("content-encoding") == "gzip":
            whole = _unzipped(self._upstream, whole, limit + 1)
        if len(whole) > limit:
            raise self._too_large(response.status_code)
        return Reply(
            status=response.status_code,
            headers=dict(response.headers),
            body=whole,
            received_at=datetime.now(UTC),
        )

    def _too_large(self, status: int) -> Unavailable | Permanent:
        reason = f"{self._upstream}: reply larger than {self._limits.reply_bytes} bytes ({status})"
        # The same question will have the same long answer; an error page tells nothing of it.
        return Permanent(reason) if status < 300 else Unavailable(reason)


@contextmanager
def translated(upstream: str) -> Iterator[None]:
    """Turn whatever HTTP itself may raise into Unavailable, named by class: texts hold URLs."""
    try:
        yield
    # aiohttp's own are caught too: the transport maps the common ones only.
    except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as error:
        raise Unavailable(f"{upstream}: {type(error).__name__}") from error


def checked_base_url(upstream: str, url: str, *, plain_host: str | None = None) -> str:
    """Return `url` without its last slash; raise ConfigurationError if it is not safe to call."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ConfigurationError([f"{upstream}: not an http(s) URL"])
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError([f"{upstream}: user info, query or fragment in the URL"])
    plain = parts.hostname == plain_host or _is_loopback(parts.hostname)
    if parts.scheme == "http" and not plain:
        raise ConfigurationError([f"{upstream}: https is required unless the host is loopback"])
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _open(limits: HttpLimits) -> httpx.AsyncClient:
    # httpx writes each URL, query included, at INFO; a CRM look-up's query is a phone number.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    tls = httpx.create_ssl_context(trust_env=False)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=limits.connections, keepalive_timeout=15, ssl=tls)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return httpx.AsyncClient(
        transport=AiohttpTransport(verify=tls, trust_env=False, client=session),
        # The transport counts the connect into `pool` and knows no `write`: `total_seconds` does.
        timeout=httpx.Timeout(limits.total_seconds, connect=limits.connect_seconds),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # Only what `_unzipped` reads within bounds.
        headers={"User-Agent": "genesys-event-worker", "Accept-Encoding": "gzip"},
    )


def _content(request: Request) -> bytes | None:
    if request.form is not None:
        return urlencode(request.form).encode()
    return None if request.json is None else orjson.dumps(request.json)


def _headers(request: Request) -> dict[str, str]:
    kind = {} if request.json is None else {"Content-Type": "application/json"}
    if request.form is not None:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return {"Accept": "application/json", **kind, **request.headers}


def _unzipped(upstream: str, body: bytes, limit: int) -> bytes:
    """Decompress to `limit` bytes at most: a bomb is cut off, not unpacked."""
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, limit)
    except zlib.error as error:
        raise Unavailable(f"{upstream}: unreadable gzip") from error
    if not reader.eof and len(plain) < limit:
        raise Unavailable(f"{upstream}: gzip cut short")
    return plain
