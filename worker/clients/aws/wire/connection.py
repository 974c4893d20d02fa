"""The endpoint of a service, by botocore's own rules, and one POST to it within limits.

By connections of our own, or by aiohttp's, which are imported where they are used alone. Failures
are raised as botocore's exceptions.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from botocore.auth import SigV4Auth
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoRegionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import ProxyConfiguration
from botocore.session import Session
from botocore.utils import (
    get_environ_proxies,
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    validate_region_name,
)
from msgspec import Struct

from worker.clients.http11 import ConnectTimeout, HttpLimits, Pool, header_lines
from worker.clients.http11_reply import Reply, ReplyCut
from worker.clients.http_network import trusted


class ClientLimits(Struct, frozen=True, kw_only=True):
    """How hard one client may try."""

    pool: int
    """Connections it may hold open."""

    read_seconds: float
    """Longest silence of the server within one attempt."""

    attempts: int
    """Attempts in all, the first included (`total_max_attempts`)."""

    connect_seconds: float = 3
    total_seconds: float | None = None
    """All of one attempt, from the wait for a connection to the last byte of the reply: one that
    comes a byte a second breaks no silence. None: one silence and the time of a connection."""

    @property
    def attempt_seconds(self) -> float:
        """Return the deadline of one attempt."""
        if self.total_seconds is None:
            return self.connect_seconds + self.read_seconds
        return self.total_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The endpoint of one service."""

    url: SplitResult
    region: str
    """Of signatures."""

    path: str
    """Canonical, for signatures."""

    proxy: str | None = field(repr=False)
    """The proxy's URL, which may hold a password."""

    proxy_headers: dict[str, str] = field(repr=False)

    @property
    def port(self) -> int:
        """Return the port, given or the scheme's own."""
        return self.url.port or _port_of(self.url.scheme)

    @property
    def host(self) -> str:
        """Return the value of the `Host` header."""
        name = self.url.hostname or ""
        name = f"[{name}]" if ":" in name else name
        return name if self.port == _port_of(self.url.scheme) else f"{name}:{self.port}"

    @property
    def target(self) -> str:
        """Return what is asked for, as the first line of a request says it."""
        return f"{self.url.path}?{self.url.query}" if self.url.query else self.url.path


def _port_of(scheme: str) -> int:
    return 80 if scheme == "http" else 443


def endpoint_of(chain: Session, service: str) -> Endpoint:
    """Return where the chain's settings and variables say that a service is.

    Raises NoRegionError, InvalidRegionError and EndpointProviderError, and ValueError for an
    endpoint that is no URL: as the SDK does when a client is made.
    """
    region, fips = _region(chain)
    url = _url(chain, service, region, fips=fips)
    parts = _parts(url)
    proxies = ProxyConfiguration(get_environ_proxies(url))
    proxy = proxies.proxy_url_for(url)
    return Endpoint(
        url=parts,
        region=region,
        path=SigV4Auth(None, "", region)._normalize_url_path(parts.path),  # noqa: SLF001  the signer's own rule
        proxy=proxy,
        proxy_headers=proxies.proxy_headers_for(proxy) if proxy else {},
    )


def _parts(url: str) -> SplitResult:
    if not (is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url)):
        raise ValueError(f"Invalid endpoint: {url}")
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError for what is none
    # A proxy is given the whole URL.
    return parts if parts.path.strip("/") else parts._replace(path="/", query="", fragment="")


def trust(chain: Session) -> ssl.SSLContext:
    """Return whom to trust: AWS_CA_BUNDLE or the profile's, or whom all other clients do."""
    return trusted(chain.get_config_variable("ca_bundle"))


def _region(chain: Session) -> tuple[str, bool]:
    named = chain.get_config_variable("region")
    if not named:
        raise NoRegionError
    region = named.replace("fips-", "").replace("-fips", "")
    validate_region_name(region)
    return region, region != named


def _url(chain: Session, service: str, region: str, *, fips: bool) -> str:
    loader = chain.get_component("data_loader")
    rules = EndpointProvider(
        loader.load_service_model(service, "endpoint-rule-set-1"), loader.load_data("partitions")
    )
    parameters = {
        "Region": region,
        "UseFIPS": fips or bool(chain.get_config_variable("use_fips_endpoint")),
        "UseDualStack": bool(chain.get_config_variable("use_dualstack_endpoint")),
    }
    if configured := _configured(chain, service):
        parameters["Endpoint"] = configured
    # The SDK would rather use an account's own endpoint where it knows the account. The region's
    # serves all accounts, whichever the credentials belong to; so only «required» is passed on,
    # and refused by the rules, instead of being ignored.
    if "AccountIdEndpointMode" in rules.ruleset.parameters:
        mode = chain.get_config_variable("account_id_endpoint_mode")
        parameters["AccountIdEndpointMode"] = "required" if mode == "required" else "disabled"
    url: str = rules.resolve_endpoint(**parameters).url
    return url


def _configured(chain: Session, service: str) -> str | None:
    if chain.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=chain.full_config,
        scoped_config=chain.get_scoped_config(),
        client_name=service,
    )
    url: str | None = provider.provide()
    return url


MAX_BODY_BYTES = 32 * 1024 * 1024
"""Ten messages of 1 MiB each, escaped, and something to spare. An answer beyond that is none."""

LARGE_BYTES = 1024 * 1024

# Without the first, a server might think that it may compress, and nothing would unpack it.
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "genesys-event-worker"}


class SharedHeaders:
    """Headers that many requests have in common, made ready to be sent once."""

    __slots__ = ("by_name", "lines")

    def __init__(self, by_name: Mapping[str, str]) -> None:
        self.by_name = by_name
        self.lines = header_lines(by_name)


class Transport(Protocol):
    """The connections of one client."""

    async def post(self, shared: SharedHeaders, own: Mapping[str, str], body: bytes) -> Reply:
        """Send, and read all of the reply. Raises HTTPClientError or botocore's ConnectionError.

        `own`: headers of this request. All values are sendable, by `is_sendable`.
        """


class WireTransport:
    """By connections of our own."""

    def __init__(self, pool: Pool, endpoint: Endpoint) -> None:
        self._pool = pool
        self._endpoint = endpoint
        self._start = f"POST {endpoint.target} HTTP/1.1\r\n".encode()
        self._start += header_lines({name.lower(): value for name, value in HEADERS.items()})

    async def post(self, shared: SharedHeaders, own: Mapping[str, str], body: bytes) -> Reply:
        """See Transport."""
        rest = header_lines(own) + b"content-length: %d\r\n\r\n" % len(body)
        try:
            # One write: a head of its own would be a segment, and a system call, of its own.
            return await self._pool.send(b"".join((self._start, shared.lines, rest, body)))
        except (OSError, ValueError) as error:
            raise as_botocore(error, self._endpoint) from error


def as_botocore(error: Exception, endpoint: Endpoint) -> BotoCoreError:
    """Return the SDK's exception of an error.

    TimeoutError, ReplyCut and SSLError are OSErrors; ValueError is a name that no host can have, or
    what is no reply.
    """
    url = endpoint.url.geturl()
    match error:
        case ssl.SSLError():
            return SSLError(endpoint_url=url, error=error)
        case ReplyCut():
            return ConnectionClosedError(endpoint_url=url)
        case ConnectTimeout():
            return ConnectTimeoutError(endpoint_url=url, error=error)
        case TimeoutError():
            return ReadTimeoutError(endpoint_url=url, error=error)
        case OSError():
            return EndpointConnectionError(endpoint_url=url, error=error)
    return HTTPClientError(error=type(error).__name__)


Http = Literal["wire", "aiohttp"]
"""By whose connections: our own, or aiohttp's."""


@asynccontextmanager
async def transport_to(
    endpoint: Endpoint, limits: ClientLimits, trusted: SSLContext | None, http: Http
) -> AsyncIterator[Transport]:
    """Open a pool of connections, and close it.

    `trusted`: None for an endpoint without TLS. Behind a proxy, it is aiohttp's whatever `http` is.
    """
    if http == "aiohttp" or endpoint.proxy:
        from worker.clients.aws.wire import by_aiohttp  # noqa: PLC0415  megabytes, rarely used

        async with by_aiohttp.session_of(limits, trusted) as session:
            yield by_aiohttp.AiohttpTransport(session, endpoint)
        return
    pool = Pool(
        endpoint.url.hostname or "",
        endpoint.port,
        trusted,
        HttpLimits(
            connections=limits.pool,
            connect_seconds=limits.connect_seconds,
            silence_seconds=limits.read_seconds,
            total_seconds=limits.attempt_seconds,
            reply_bytes=MAX_BODY_BYTES,
        ),
    )
    try:
        yield WireTransport(pool, endpoint)
    finally:
        await pool.close()
