"""The one place that makes AWS clients: aioboto3, with every pool, time-out and retry spelled out.

botocore's defaults (10 connections, 60 s read time-out, legacy retries) starve acks behind long
polls and hold a throttled call for 25 s; so no client is made without these numbers.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aioboto3
from botocore.config import Config

from worker.settings import Aws


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """How hard one client may try."""

    pool: int
    """Connections it may hold open."""

    read_seconds: float
    """Longest silence of the server within one attempt."""

    attempts: int
    """Attempts in all, the first included (`total_max_attempts`)."""

    connect_seconds: float = 3


class AwsSession:
    """Makes AWS clients from the SDK's own chain of region, endpoint and credentials."""

    def __init__(self, settings: Aws) -> None:
        self._session = aioboto3.Session(region_name=settings.region)

    def client(self, service: str, limits: ClientLimits) -> AbstractAsyncContextManager[Any]:
        """Return a client to be entered; `Any`, as botocore makes its classes at run time."""
        config = Config(
            max_pool_connections=limits.pool,
            connect_timeout=limits.connect_seconds,
            read_timeout=limits.read_seconds,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
            # Bodies are built by us and checked by the service; the local check costs CPU only.
            parameter_validation=False,
            signature_version="s3v4" if service == "s3" else None,
            tcp_keepalive=True,
        )
        client: AbstractAsyncContextManager[Any] = self._session.client(service, config=config)
        return client
