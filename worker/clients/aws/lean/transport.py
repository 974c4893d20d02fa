"""One POST: bytes out, bytes in, within limits; what goes wrong is told in botocore's words."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from ssl import SSLContext

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import mask_proxy_url

from worker.clients.aws.lean.place import Place
from worker.clients.aws.limits import ClientLimits

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Ten messages of 1 MiB each, escaped, with room to spare. An answer beyond that is none."""

LARGE_BYTES = 1024 * 1024

# Without the first, aiohttp would ask for gzip, and nobody would unpack it.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "genesys-event-worker"}

KEEP_ALIVE_SECONDS = 12.0
"""The SDK's. A connection that AWS closed in the meantime would cost an attempt."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""

    body: bytes


class Transport:
    """The connections of one client."""

    def __init__(self, http: aiohttp.ClientSession, place: Place) -> None:
        self._http = http
        self._place = place

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send, and read all of the reply. Raises HTTPClientError or botocore's ConnectionError."""
        try:
            async with self._http.post(
                self._place.url,
                # aiohttp wants large bodies as files, which it writes in pieces.
                data=body if len(body) < LARGE_BYTES else BytesIO(body),
                headers=headers,
                # A signature is for one address; and a POST that is redirected becomes a GET.
                allow_redirects=False,
                proxy=self._place.proxy,
                proxy_headers=self._place.proxy_headers or None,
            ) as response:
                return Reply(response.status, response.headers, await _read(response.content))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> BotoCoreError:
        """Return the SDK's exception of an error.

        TimeoutError is an OSError; ValueError is credentials that no header can hold.
        """
        url = str(self._place.url)
        match error:
            case aiohttp.ClientSSLError():
                return SSLError(endpoint_url=url, error=error)
            case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
                return ProxyConnectionError(proxy_url=mask_proxy_url(self._place.proxy or ""))
            case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
                return ConnectionClosedError(endpoint_url=url)
            case TimeoutError():
                late = isinstance(error, aiohttp.ConnectionTimeoutError)
                kind = ConnectTimeoutError if late else ReadTimeoutError
                return kind(endpoint_url=url, error=error)
            case aiohttp.ClientConnectionError() | OSError():
                return EndpointConnectionError(endpoint_url=url, error=error)
        return HTTPClientError(error=type(error).__name__)


@asynccontextmanager
async def transport_to(
    place: Place, limits: ClientLimits, trusted: SSLContext | None
) -> AsyncIterator[Transport]:
    """Open a pool of connections, and close it. `trusted`: None for a place without TLS."""
    connector = aiohttp.TCPConnector(
        limit=limits.pool,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        ssl=True if trusted is None else trusted,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(
            total=limits.attempt_seconds,
            sock_connect=limits.connect_seconds,
            sock_read=limits.read_seconds,
            ceil_threshold=math.inf,  # else deadlines above 5 s are put off to a whole second
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers=HEADERS,
        skip_auto_headers=("Accept",),
        # Proxies are looked up once, by botocore's rules.
        trust_env=False,
    ) as http:
        yield Transport(http, place)


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = await content.readany()
    if content.at_eof():
        return body  # as a rule it is there in one piece
    chunks, size = [body], len(body)
    while chunk := await content.readany():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise aiohttp.ClientPayloadError("too large")
        chunks.append(chunk)
    return b"".join(chunks)
