"""One POST by aiohttp's connections, which know proxies. Imported only where they are used."""

import math
from collections.abc import Mapping
from io import BytesIO
from ssl import SSLContext

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.httpsession import mask_proxy_url
from yarl import URL

from worker.clients.aws.wire.connection import (
    HEADERS,
    LARGE_BYTES,
    MAX_BODY_BYTES,
    ClientLimits,
    Endpoint,
    SharedHeaders,
    as_botocore,
)
from worker.clients.http11 import KEEP_ALIVE_SECONDS
from worker.clients.http11_reply import Reply
from worker.clients.http_network import MAX_HEADER_BYTES


class AiohttpTransport:
    """The connections of one client; see Transport."""

    def __init__(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> None:
        self._http = http
        self._endpoint = endpoint
        self._url = URL(endpoint.url.geturl(), encoded=True)  # it is signed as it is

    async def post(self, shared: SharedHeaders, own: Mapping[str, str], body: bytes) -> Reply:
        """See Transport."""
        try:
            async with self._http.post(
                self._url,
                # aiohttp wants large bodies as files, which it writes in pieces.
                data=body if len(body) < LARGE_BYTES else BytesIO(body),
                headers={**shared.by_name, **own},
                # A signature is for one address; and a POST that is redirected becomes a GET.
                allow_redirects=False,
                proxy=self._endpoint.proxy,
                proxy_headers=self._endpoint.proxy_headers or None,
            ) as response:
                return Reply(response.status, response.headers, await _read(response.content))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _as_botocore(error, self._endpoint) from error


def _as_botocore(error: Exception, endpoint: Endpoint) -> BotoCoreError:
    """Return the SDK's exception of an error. Many of aiohttp's are OSErrors or TimeoutErrors."""
    url = endpoint.url.geturl()
    match error:
        case aiohttp.ClientSSLError():
            return SSLError(endpoint_url=url, error=error)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return ProxyConnectionError(proxy_url=mask_proxy_url(endpoint.proxy or ""))
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return ConnectionClosedError(endpoint_url=url)
        case aiohttp.ConnectionTimeoutError():
            return ConnectTimeoutError(endpoint_url=url, error=error)
        case aiohttp.ClientConnectionError() if not isinstance(error, TimeoutError):
            return EndpointConnectionError(endpoint_url=url, error=error)
    return as_botocore(error, endpoint)


def session_of(limits: ClientLimits, trusted: SSLContext | None) -> aiohttp.ClientSession:
    """Return a pool of connections. `trusted`: None for an endpoint without TLS."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=limits.pool,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ssl=True if trusted is None else trusted,
        ),
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
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )


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
