"""httpx's transport over connections of our own, and what it came to where there was no reply."""

import ssl
from typing import cast

import httpx

from worker.clients.http11 import HttpLimits, Pool, header_lines
from worker.clients.http_network import NotReached, proxy_for, trusted

__all__ = ["HttpLimits", "OwnConnections", "content_of", "no_reply_reason", "transport_to"]

BODILESS = {"GET", "DELETE"}
"""Without a body, these are sent without a length, too."""


def transport_to(base_url: str, limits: HttpLimits) -> httpx.AsyncBaseTransport:
    """Return the connections to a server. Raises ConfigurationError for a proxy of another kind."""
    if proxy := proxy_for(base_url):
        # Imported where it is used: aiohttp is a fifth of what a worker imports.
        from worker.clients.http_by_aiohttp import ProxiedConnections  # noqa: PLC0415

        return ProxiedConnections(base_url, limits, proxy)
    return OwnConnections(base_url, limits)


class OwnConnections(httpx.AsyncBaseTransport):
    """The connections to one server."""

    def __init__(self, base_url: str, limits: HttpLimits) -> None:
        self._url = httpx.URL(base_url)
        self._limits = limits
        self._tls = trusted() if self._url.scheme == "https" else None
        self._start = f" HTTP/1.1\r\nHost: {self._url.netloc.decode()}\r\n"
        self._pool: Pool | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to its extension `target`, a path and query that are quoted already.

        The extension `headers` has its headers, and that of the response those of the reply, by
        names in lower case. Raises ReplyTooLarge, OSError and ValueError.
        """
        if self._pool is None:
            self._pool = self._opened()
        reply = await self._pool.send(self._written(request))
        return httpx.Response(
            reply.status,
            stream=httpx.ByteStream(reply.body),
            extensions={"headers": reply.headers},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()

    def _written(self, request: httpx.Request) -> bytes:
        start = f"{request.method} {request.extensions['target']}{self._start}"
        body = content_of(request)
        if body or request.method not in BODILESS:
            start += f"Content-Length: {len(body)}\r\n"
        # One write: a head of its own would be a segment, and a system call, of its own.
        return b"%b%b\r\n%b" % (start.encode(), header_lines(request.extensions["headers"]), body)

    def _opened(self) -> Pool:
        port = self._url.port or (443 if self._tls else 80)
        return Pool(self._url.raw_host.decode(), port, self._tls, self._limits)


def content_of(message: httpx.Request | httpx.Response) -> bytes:
    """Return the body of what was made with a ByteStream, past httpx's own reading."""
    return b"".join(cast("httpx.ByteStream", message.stream))


def no_reply_reason(error: Exception) -> str:
    """Return the class of what went wrong, or words of our own; not its text, which holds URLs."""
    match error:
        case NotReached():
            return str(error)
        case ssl.SSLCertVerificationError():
            return "the certificate is not trusted; SSL_CERT_FILE names private authorities"
        case UnicodeError():  # a part of the name is longer than one can be
            return "the host name is not valid"
    return type(error).__name__
