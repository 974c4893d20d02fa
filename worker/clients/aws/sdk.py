"""Clients by the SDK: for all services but those of every message, with AWS_TRANSPORT=sdk for all.

Imported when the first of them is made: aiobotocore and aiohttp are most of what it takes.
"""

import math
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials, AioDeferredRefreshableCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.credentials import RefreshableCredentials
from botocore.session import Session

from worker.clients.aws.session import CREDENTIALS_LIMITS, ChainCredentials, ClientLimits
from worker.clients.http_network import MAX_HEADER_BYTES, trusted

RENEWAL_SECONDS = CREDENTIALS_LIMITS.attempt_seconds


class SdkClients:
    """Makes clients of any service with the region, the settings and the credentials of a chain."""

    def __init__(self, chain: Session, credentials: ChainCredentials) -> None:
        self._session = AioSession()
        region = chain.get_config_variable("region")
        if region is not None:
            self._session.set_config_variable("region", region)
        # Shared: the endpoints of all services are kept once, and nobody is asked for keys twice.
        self._session.register_component("data_loader", chain.get_component("data_loader"))
        self._session.register_component("credential_provider", _FromChain(credentials))

    def client(self, service: str, limits: ClientLimits) -> AbstractAsyncContextManager[Any]:
        """Return a client to be entered, once."""
        config = AioConfig(
            http_session_cls=partial(_Connections, limits=limits),
            max_pool_connections=limits.pool,
            connect_timeout=limits.connect_seconds,
            read_timeout=limits.read_seconds,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
            # Bodies are built by us and checked by the service; the local check costs CPU only.
            parameter_validation=False,
            signature_version="s3v4" if service == "s3" else None,
            tcp_keepalive=True,
        )
        made: AbstractAsyncContextManager[Any] = self._session.create_client(service, config=config)
        return made


class _FromChain:
    """Stands for the SDK's chain of credentials, as the session's component."""

    def __init__(self, credentials: ChainCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> AioCredentials | AioDeferredRefreshableCredentials | None:
        """Return what the chain finds; None for nothing, which is asked again."""
        found = await self._credentials.look_up()
        if isinstance(found, RefreshableCredentials):
            return AioDeferredRefreshableCredentials(self._renewed, found.method)
        if found is None:
            return None
        return AioCredentials(*found.get_frozen_credentials()[:3], method=found.method)

    async def _renewed(self) -> dict[str, Any] | None:
        """Return the chain's credentials of now, as a server would give them."""
        kept = await self._credentials.kept(RENEWAL_SECONDS)
        if kept is None or kept.ends is None:
            return None
        return {
            "access_key": kept.keys.access_key,
            "secret_key": kept.keys.secret_key,
            "token": kept.keys.token,
            "account_id": kept.keys.account_id,
            "expiry_time": kept.ends.isoformat(),
        }


class _Connections(AIOHTTPSession):  # type: ignore[misc]
    """The SDK's own, with the time-outs, the trust and the length of headers of all our clients.

    It has no deadline over the whole of an attempt, streamed bodies included; and behind a proxy,
    up to aiobotocore 2.25, it checks no certificate at all.
    """

    def __init__(self, *arguments: Any, limits: ClientLimits, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession | None = self._sessions.get(proxy_url)
        if session is None:
            # Kept before anything is awaited: two calls at once make one pool.
            session = self._sessions[proxy_url] = self._opened()
            await self._exit_stack.enter_async_context(session)
        return session

    def _opened(self) -> aiohttp.ClientSession:
        tls = trusted(self._verify if isinstance(self._verify, str) else None)
        limits = self._limits
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.pool, ssl=tls, **self._connector_args),
            timeout=aiohttp.ClientTimeout(
                total=limits.attempt_seconds,
                sock_connect=limits.connect_seconds,
                sock_read=limits.read_seconds,
                ceil_threshold=math.inf,
            ),
            skip_auto_headers={"Content-Type"},
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
