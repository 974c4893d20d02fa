"""The one place that makes AWS clients, with every pool, time-out and retry spelled out.

One interface: the wire client for the services of every message, by connections of its own or by
aiohttp's, the SDK for all others and, with AWS_TRANSPORT=sdk, for these too. botocore's defaults
(10 connections, 60 s read time-out, legacy retries) starve acks behind long polls and hold a
throttled call for 25 s; so no client is made without these numbers.

botocore's own files carry the documentation of every operation and the endpoints of every service
there is. Parsed and kept, as botocore does, they are an eighth of the memory of an idle worker; so
they are kept without what a worker never reads, and read when a service is first called.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.loaders import Loader, create_loader
from botocore.session import Session

from worker.clients.aws.errors import aws_errors, failure_called, setting_errors
from worker.clients.aws.wire.operations import ClientLimits, WireClients
from worker.clients.http_network import MAX_HEADER_BYTES, trusted
from worker.errors import WorkerError
from worker.resilience import Guard
from worker.settings import Aws

__all__ = ["AwsService", "AwsSession", "ClientLimits", "SlimLoader", "slim"]

ENDPOINTS = "endpoints"
USED: Final = {"dynamodb", "events", "s3", "sqs", "states", "sts"}
"""Endpoint prefixes that are kept. A service without one still resolves, by its partition."""


class SlimLoader:
    """Stands for botocore's loader, as the session's component `data_loader`.

    Each file is read by a loader of its own: botocore's keeps whatever it has read, whole.
    """

    def __init__(self, data_path: str | None) -> None:
        self._data_path = data_path
        self._kept: dict[object, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """Leave to botocore what loads nothing large: versions, names, paths."""
        return getattr(self._fresh(), name)

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> Any:
        """Load a model, without its documentation."""
        key = (service_name, type_name, api_version)
        if key not in self._kept:
            self._kept[key] = _undocumented(self._fresh().load_service_model(*key))
        return self._kept[key]

    def load_data(self, name: str) -> Any:
        """Load a file, without its documentation."""
        return self.load_data_with_path(name)[0]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Load a file, without its documentation, and return its path."""
        if name not in self._kept:
            whole, path = self._fresh().load_data_with_path(name)
            slim = _few_services(whole) if name == ENDPOINTS else _undocumented(whole)
            self._kept[name] = slim, path
        kept: tuple[Any, str] = self._kept[name]
        return kept

    def _fresh(self) -> Loader:
        return create_loader(self._data_path)


def slim(session: Session) -> None:
    """Let a session read its models without documentation; before its first client."""
    session.register_component("data_loader", SlimLoader(session.get_config_variable("data_path")))


def _few_services(endpoints: dict[str, Any]) -> dict[str, Any]:
    partitions = [
        {**one, "services": {name: one["services"][name] for name in USED & set(one["services"])}}
        for one in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _undocumented(model: Any) -> Any:
    """Return a copy whose texts are empty, not gone: botocore reads some of them unasked.

    A member or a shape of that name is no text, and stays.
    """
    if isinstance(model, dict):
        return {
            key: "" if key == "documentation" and isinstance(value, str) else _undocumented(value)
            for key, value in model.items()
        }
    return [_undocumented(one) for one in model] if isinstance(model, list) else model


CREDENTIALS_LIMITS = ClientLimits(pool=2, read_seconds=10, attempts=1)
"""For the clients that the chain makes by itself, of STS and SSO."""


class _Chain(AioSession):  # type: ignore[misc]
    """The SDK's session, whose own clients have our trust, too: a role's token is a secret."""

    def create_client(self, *arguments: Any, **named: Any) -> Any:
        """Make a client; one without connections of ours is the chain's own."""
        config = named.get("config") or AioConfig()
        if config.http_session_cls is AIOHTTPSession:
            config.http_session_cls = partial(_Connections, limits=CREDENTIALS_LIMITS)
        return super().create_client(*arguments, **{**named, "config": config})


class AwsSession:
    """Makes AWS clients from the SDK's own chain of region, endpoint and credentials."""

    def __init__(self, settings: Aws) -> None:
        """Raise ConfigurationError for a profile that there is not."""
        chain = _Chain()
        with setting_errors():
            slim(chain)
        if settings.region is not None:
            chain.set_config_variable("region", settings.region)
        # One chain for both: credentials are looked up, and renewed, once.
        self._chain = chain
        transport = settings.transport
        self._wire = None if transport == "sdk" else WireClients(chain, transport)

    @property
    def region(self) -> str | None:
        """The region of all clients: the setting's, the environment's or the profile's."""
        found: str | None = self._chain.get_config_variable("region")
        return found

    def client(
        self, service: str, limits: ClientLimits, *, any_operation: bool = False
    ) -> AbstractAsyncContextManager[Any]:
        """Return a client to be entered; `Any`, as botocore makes its classes at run time.

        `any_operation`: by the SDK, as the wire client has those only that the worker calls.
        """
        of_the_wire = WireClients.speaks(service) and not any_operation
        if self._wire is not None and of_the_wire:
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
        make = partial(self._chain.create_client, service, config=config)
        # Those of every message are made at the start, so that it fails where they are not found.
        if any_operation or of_the_wire:
            made: AbstractAsyncContextManager[Any] = make()
            return made
        return LateClient(make)


class LateClient:
    """The operations of a client that the SDK makes at the first call, within its errors.

    A model is parsed to megabytes; a bucket of reports may be written to once a day.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        # A function: one that failed, or was cancelled, cannot be entered again.
        self._make = make
        self._opened: Any = None
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def __getattr__(self, operation: str) -> Any:
        """Return an operation, which is awaited; nothing else of the SDK's client is here."""
        if operation.startswith("_"):
            raise AttributeError(operation)

        async def call(**parameters: Any) -> Any:
            return await getattr(await self._open(), operation)(**parameters)

        return call

    async def _open(self) -> Any:
        """Return the SDK's client."""
        async with self._lock:
            if self._opened is None:
                self._opened = await self._stack.enter_async_context(self._make())
        return self._opened


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


@dataclass(frozen=True, slots=True)
class AwsService:
    """An AWS service."""

    name: str
    """As botocore names it; errors begin with it."""

    client: Any
    """Of botocore's kind: its classes are made at run time."""

    guard: Guard
    setting: str | None = None
    """Where the name of what is called comes from, e.g. `DYNAMODB_TABLE`, for errors."""

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Call an operation, e.g. `put_record`. Raises Permanent or Transient, by AWS's code."""
        return await self.guard.call(partial(self._call, operation, parameters))

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        with self.errors():
            reply: Mapping[str, Any] = await getattr(self.client, operation)(**parameters)
        return reply

    async def opened(self) -> Any:
        """Return the SDK's own client of a service that is called by the SDK, for what is no call.

        To be awaited in a block of `errors`: it may be made only now.
        """
        opened = getattr(self.client, "_open", None)
        return self.client if opened is None else await opened()

    def errors(self) -> AbstractContextManager[None]:
        """Return a block in which every failure of the client is raised as by `call`.

        For what is more than one operation: a streamed body, a signed URL, a batch whose entries
        have answers of their own. Such a block belongs into `guard.call`.
        """
        return aws_errors(self.name, self.setting)

    def failure(self, code: str) -> WorkerError:
        """Return what AWS's error code means where it is no call's but that of a batch's entry."""
        return failure_called(self.name, code, setting=self.setting)
