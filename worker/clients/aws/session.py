"""The one place that makes AWS clients, with every pool, time-out and retry spelled out.

Two transports, one interface: the wire client for the services of every message, aioboto3 for all
others and, with AWS_TRANSPORT=sdk, for these too. botocore's defaults (10 connections, 60 s read
time-out, legacy retries) starve acks behind long polls and hold a throttled call for 25 s; so no
client is made without these numbers.
"""

import math
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

from worker.clients.aws.errors import setting_errors
from worker.clients.aws.models import slim
from worker.clients.aws.wire.connection import ClientLimits
from worker.clients.aws.wire.operations import WireClients
from worker.settings import Aws

__all__ = ["AwsSession", "ClientLimits"]


class AwsSession:
    """Makes AWS clients from the SDK's own chain of region, endpoint and credentials."""

    def __init__(self, settings: Aws) -> None:
        """Raise ConfigurationError for a profile that there is not."""
        chain = AioSession()
        with setting_errors():
            slim(chain)
        self._sdk = aioboto3.Session(botocore_session=chain, region_name=settings.region)
        # One chain for both: credentials are looked up, and renewed, once.
        self._wire = WireClients(chain) if settings.transport == "lean" else None

    def client(self, service: str, limits: ClientLimits) -> AbstractAsyncContextManager[Any]:
        """Return a client to be entered; `Any`, as botocore makes its classes at run time."""
        if self._wire is not None and self._wire.speaks(service):
            return self._wire.open(service, limits)
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
        client: AbstractAsyncContextManager[Any] = self._sdk.client(service, config=config)
        return client


class _Connections(AIOHTTPSession):  # type: ignore[misc]
    """The SDK's own, with a deadline over the whole of an attempt, streamed bodies included.

    It knows none: its time-outs are for one connection and for one silence.
    """

    def __init__(self, *arguments: Any, limits: ClientLimits, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._timeout = aiohttp.ClientTimeout(
            total=limits.attempt_seconds,
            sock_connect=limits.connect_seconds,
            sock_read=limits.read_seconds,
            ceil_threshold=math.inf,
        )
