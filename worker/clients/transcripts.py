"""Transcript files, from the signed URLs that Genesys Cloud hands out.

Such a URL is a secret for as long as it lives: it is fetched at once, never stored, never logged.
It comes out of a reply, so its host is checked before anything is sent to it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson

from worker.clients.genesys.transcript import SignedUrl
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply, Request
from worker.errors import Permanent, Transient, Unavailable
from worker.resilience.guard import Guard
from worker.settings import is_loopback

AMAZON = (".amazonaws.com", ".amazonaws.eu")
"""The second is the European Sovereign Cloud's, a region of Genesys (`edee1.eusc-pure.cloud`)."""

MOST_HOSTS = 16
"""A region keeps its transcripts in a bucket or two; more hosts than this are no transcripts."""

TEMPLATE = "/{signed}"


class Transcripts:
    """Downloads transcript files."""

    def __init__(self, guard: Guard, limits: HttpLimits) -> None:
        self._guard = guard
        self._limits = limits
        self._clients: dict[str, HttpClient] = {}

    async def fetch(self, signed: SignedUrl) -> Mapping[str, Any] | None:
        """Return the file; None: there is none (yet).

        Raises Permanent for a host that is not Amazon's, Transient for a URL that is no longer
        good, and Unavailable for everything else.
        """
        origin, path = _checked(signed.url)
        request = Request(method="GET", path=path, template=TEMPLATE)
        client = self._client(origin)
        return await self._guard.call(partial(_fetched, client, request))

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    def _client(self, origin: str) -> HttpClient:
        # One for each origin, as a client's address is fixed: that is what keeps it on its host.
        client = self._clients.get(origin)
        if client is None:
            if len(self._clients) >= MOST_HOSTS:
                raise Unavailable("transcripts: too many hosts")
            client = self._clients[origin] = HttpClient("transcripts", origin, self._limits)
        return client


def _checked(url: str) -> tuple[str, str]:
    """Return origin and rest of a URL that may be fetched; Permanent for any other, unquoted."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Permanent("transcript URL: unreadable") from None
    is_amazon = parts.scheme == "https" and host.endswith(AMAZON) and port in {None, 443}
    is_ours = parts.scheme in {"http", "https"} and is_loopback(host)
    if not (is_amazon or is_ours) or parts.username is not None or parts.password is not None:
        raise Permanent("transcript URL: host not allowed")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return f"{parts.scheme}://{parts.netloc}", path


async def _fetched(client: HttpClient, request: Request) -> Mapping[str, Any] | None:
    return _file(await client.send(request))


def _file(reply: Reply) -> Mapping[str, Any] | None:
    if reply.status == 404:
        return None
    if 400 <= reply.status < 500:
        # S3 answers 400 or 403 to a URL past its time: the next try begins with a new one.
        raise Transient(f"transcripts: link refused ({reply.status})")
    try:
        file = orjson.loads(reply.body) if 200 <= reply.status < 300 else None
    except orjson.JSONDecodeError:
        file = None
    if not isinstance(file, dict):
        raise Unavailable(f"transcripts: unreadable reply ({reply.status})")
    return file
