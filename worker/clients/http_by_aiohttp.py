"""httpx's transport over aiohttp's connections: behind a proxy, for aiohttp knows CONNECT."""

from collections.abc import Iterable

import aiohttp
import httpx
from yarl import URL

from worker.clients.http11 import HttpLimits
from worker.clients.http11_reply import ReplyTooLarge
from worker.clients.http_network import MAX_HEADER_BYTES, NotReached, ProxyRefused, trusted
from worker.clients.http_transport import content_of, no_reply_reason
from worker.resilience.work import Deadline

FAILURES = (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError)


class ProxiedConnections(httpx.AsyncBaseTransport):
    """The connections to one server, by a proxy."""

    def __init__(self, base_url: str, limits: HttpLimits, proxy: str | None) -> None:
        self._base_url = httpx.URL(base_url)
        self._limits = limits
        self._proxy = proxy
        self._tls = trusted()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See OwnConnections. Raises NotReached besides, and ProxyRefused."""
        if self._session is None:
            self._session = self._opened()
        try:
            with Deadline(self._limits.total_seconds):
                return await self._answered(self._session, request)
        except FAILURES as error:
            raise _as_os_error(error) from error

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _answered(
        self, session: aiohttp.ClientSession, request: httpx.Request
    ) -> httpx.Response:
        origin = f"{self._base_url.scheme}://{self._base_url.netloc.decode()}"
        async with session.request(
            request.method,
            URL(origin + request.extensions["target"], encoded=True),
            headers=request.extensions["headers"],
            data=content_of(request) or None,
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            body = await self._body(response)
        return httpx.Response(
            response.status,
            stream=httpx.ByteStream(body),
            extensions={"headers": _received(response.raw_headers)},
        )

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > self._limits.reply_bytes:
                raise ReplyTooLarge(response.status)
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        limits = self._limits
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.connections, keepalive_timeout=15, ssl=self._tls
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Only of connecting: `total_seconds` bounds all the others.
            timeout=aiohttp.ClientTimeout(sock_connect=limits.connect_seconds),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )


def _as_os_error(error: Exception) -> OSError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        kind = ProxyRefused if error.status in {403, 407} else NotReached
        return kind(f"the proxy of HTTPS_PROXY answers {error.status}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        cause = type(error.os_error).__name__
        return NotReached(f"the proxy of HTTPS_PROXY is not reached: {cause}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return NotReached(no_reply_reason(error.certificate_error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return NotReached(no_reply_reason(error.os_error))
    return NotReached(type(error).__name__)


def _received(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return names in lower case."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
