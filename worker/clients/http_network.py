"""Whom to trust, which proxy to go through, how long a header may be: one answer for every client.

The variables are the ones that curl, requests and the AWS SDK read.
"""

import asyncio
import ssl
from base64 import b64encode
from functools import cache
from os import environ
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from worker.errors import ConfigurationError

MAX_HEADER_BYTES = 64 * 1024
"""Of one header line: gateways add policies, reports and traces. aiohttp's own limit, 8,190 bytes,
would turn an answer into an outage."""

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name a file of authorities, the first one first."""


def trusted(bundle: str | None = None) -> ssl.SSLContext:
    """Return the TLS settings of all clients: authorities from a file, else certifi's.

    `bundle`: what AWS's own settings name. Shared: reading the authorities costs 20 ms and a MiB.
    Raises ConfigurationError for a file that cannot be read.
    """
    named = [("AWS_CA_BUNDLE", bundle), *((name, environ.get(name)) for name in BUNDLES)]
    variable, file = next(((name, file) for name, file in named if file), ("", None))
    try:
        return _context(file)
    except OSError as error:  # of the file, or of what is in it
        why = error.strerror or type(error).__name__
        problem = f"{variable}: is no bundle of certificates: {why} (set to {file!r})"
        raise ConfigurationError([problem]) from None


class NotReached(OSError):
    """No reply, for a reason in words of our own: its text holds no URL."""


class ProxyRefused(NotReached):
    """The proxy of HTTPS_PROXY wants credentials, or does not pass this host."""


def is_sendable(value: str) -> bool:
    """Return False for what no header can hold: a line break in it would begin another header."""
    return value.isascii() and value.isprintable()


@cache
def _context(file: str | None) -> ssl.SSLContext:
    if file is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=file)


def proxy_for(url: str) -> str | None:
    """Return the proxy for an https URL, by HTTPS_PROXY and NO_PROXY; it may hold a password.

    None without TLS: such a URL names this machine or the agent of its host, which no proxy
    reaches. Raises ConfigurationError for a proxy of another kind.
    """
    parts = urlsplit(url)
    proxy = getproxies().get("https")
    if parts.scheme != "https" or not proxy or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy.removeprefix('//')}"
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise ConfigurationError(["HTTPS_PROXY: no http:// proxy; e.g. http://proxy.example:3128"])
    return proxy


CONNECT_SECONDS = 8.0
SECOND_ADDRESS_SECONDS = 0.25
"""When the next address of a host is tried beside the first one, as the HTTP client does."""


async def shaken_hands(url: str) -> None:
    """Resolve, connect, shake hands, and hang up; by the proxy, if there is one. Raises OSError."""
    parts, proxy = urlsplit(url), urlsplit(proxy_for(url) or "")
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await _opened(proxy if proxy.hostname else parts)
        try:
            if proxy.hostname:
                writer.write(_connect_request(proxy, f"{parts.hostname}:{parts.port or 443}"))
                await _accepted(reader)
                await writer.start_tls(trusted(), server_hostname=parts.hostname)
        finally:
            # Not closed: that would wait for the other side to close, too.
            writer.transport.abort()


async def _accepted(reader: asyncio.StreamReader) -> None:
    status = (await reader.readline()).split(b" ")[1:2]
    if status != [b"200"]:
        raise ConnectionRefusedError(0, "the proxy refuses")
    while (await reader.readline()).strip():
        pass


def _connect_request(proxy: SplitResult, target: str) -> bytes:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _opened(parts: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    secure = parts.scheme == "https"
    return await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=trusted() if secure else None,
        happy_eyeballs_delay=SECOND_ADDRESS_SECONDS,
    )
