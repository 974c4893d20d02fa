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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from datetime import datetime
from functools import partial
from os import environ
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from botocore.loaders import Loader, create_loader
from botocore.session import Session
from msgspec import Struct

from worker.clients.aws.errors import aws_errors, failure_called, setting_errors
from worker.clients.aws.wire.operations import ClientLimits, WireClients
from worker.clients.http_network import BUNDLES
from worker.errors import WorkerError
from worker.resilience import Guard

if TYPE_CHECKING:
    from worker.clients.aws.sdk import SdkClients

__all__ = ["AwsService", "AwsSession", "ClientLimits", "SlimLoader", "slim"]

Transport = Literal["wire", "aiohttp", "sdk"]

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
"""For the clients that the chain makes by itself, of STS and SSO: calls try again themselves."""


class _Chain(Session):  # type: ignore[misc]
    """The SDK's session, whose own clients have our trust, too: a role's token is a secret."""

    def create_client(self, *arguments: Any, **named: Any) -> Any:
        """Make a client of the chain's own."""
        limits = CREDENTIALS_LIMITS
        config = Config(
            max_pool_connections=limits.pool,
            connect_timeout=limits.connect_seconds,
            read_timeout=limits.read_seconds,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
        )
        named["config"] = config.merge(named["config"]) if named.get("config") else config
        return super().create_client(*arguments, **{"verify": self._bundle(), **named})

    def _bundle(self) -> str | None:
        """Return the file of `trusted`; None for certifi's, which is the SDK's own, too."""
        named = (self.get_config_variable("ca_bundle"), *map(environ.get, BUNDLES))
        return next(filter(None, named), None)


class Kept(NamedTuple):
    """Credentials that are at hand."""

    keys: ReadOnlyCredentials
    ends: datetime | None


class ChainCredentials:
    """The chain's credentials, which are looked up and renewed in a thread, one at a time.

    That takes the time of a server of AWS's or of a program. A thread of its own, not of the
    loop's pool: the end of the process would wait for one that hangs.
    """

    def __init__(self, chain: Session) -> None:
        self._chain = chain
        self._found: Credentials | None = None
        self._kept: Kept | None = None
        self._look_again = 0.0
        self._under_way: Future[None] = Future()
        self._under_way.set_result(None)

    async def opened(
        self, renewal_seconds: float
    ) -> Callable[[], Awaitable[ReadOnlyCredentials | None]]:
        """Look them up, and return what gives them before each attempt; see `kept`."""
        await self.look_up()

        async def current() -> ReadOnlyCredentials | None:
            kept = await self.kept(renewal_seconds)
            return None if kept is None else kept.keys

        return current

    async def look_up(self) -> Credentials | None:
        """Return what the chain finds, from then on always the same.

        None is no error yet: the SDK's clients open without, too, and fail when they call.
        """
        if self._found is None:
            await asyncio.wrap_future(self._in_a_thread(self._find))
        return self._found

    async def kept(self, renewal_seconds: float) -> Kept | None:
        """Return what is at hand, renewed by the SDK's own rules; None where nothing was found.

        Some minutes before their end they are renewed in passing, and later before they are used.
        Raises CredentialRetrievalError when that takes longer than `renewal_seconds`, and others
        of the SDK's errors.
        """
        found = self._found
        if not isinstance(found, RefreshableCredentials):
            return self._kept
        if self._kept and monotonic() < self._look_again:
            return self._kept
        if self._kept and self._under_way.done() and not found.refresh_needed():
            self._look_again = monotonic() + 1  # it reads the time zone, too: 15 µs
            return self._kept
        renewal = self._in_a_thread(partial(self._keep, found))
        mandatory: float = found._mandatory_refresh_timeout  # noqa: SLF001  it has no public name
        if self._kept is None or found.refresh_needed(mandatory):
            await _renewed(renewal, renewal_seconds)
        return self._kept

    def _find(self) -> None:
        found = self._chain.get_credentials()
        is_due = isinstance(found, RefreshableCredentials) and found.refresh_needed()
        if found is not None and not is_due:
            self._keep(found)
        self._found = found

    def _keep(self, found: Credentials) -> None:
        keys = found.get_frozen_credentials()
        # Both at once, for the other thread.
        self._kept = Kept(keys, getattr(found, "_expiry_time", None))

    def _in_a_thread(self, job: Callable[[], None]) -> Future[None]:
        """Begin, unless one is under way."""
        if self._under_way.done():
            self._under_way = _begun(job)
        return self._under_way


def _begun(job: Callable[[], None]) -> Future[None]:
    done: Future[None] = Future()
    done.set_running_or_notify_cancel()  # who waits for it may be cancelled, and it is not

    def work() -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=work, name="aws-credentials", daemon=True).start()
    return done


async def _renewed(renewal: Future[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wrap_future(renewal)
    except TimeoutError as error:
        raise CredentialRetrievalError(provider="role", error_msg="no answer") from error
    except RuntimeError as error:
        # Renewed, and past their end by our clock: the one failure that the chain has no
        # word of its own for. Unknown to callers, it would end the heartbeat.
        raise CredentialRetrievalError(provider="role", error_msg=error) from error


class AwsSession:
    """Makes AWS clients from the SDK's own chain of region, endpoint and credentials."""

    def __init__(self, region: str | None = None, transport: Transport = "wire") -> None:
        """Raise ConfigurationError for a profile that there is not.

        `region`: None for the chain's. `transport`: of the services of every message.
        """
        chain = _Chain()
        with setting_errors():
            slim(chain)
        if region is not None:
            chain.set_config_variable("region", region)
        # One chain for all: credentials are looked up, and renewed, once.
        self._chain = chain
        self._credentials = ChainCredentials(chain)
        self._wire = (
            None if transport == "sdk" else WireClients(chain, self._credentials.opened, transport)
        )
        self._sdk: Any = None

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
        make = partial(self._by_sdk, service, limits)
        # Those of every message are made at the start, so that it fails where they are not found.
        return make() if any_operation or of_the_wire else LateClient(make)

    @asynccontextmanager
    async def _by_sdk(self, service: str, limits: ClientLimits) -> AsyncIterator[Any]:
        if self._sdk is None:
            # In a thread, as the import takes 0.3 s of CPU. Two may come here at once.
            clients = await asyncio.to_thread(_sdk_clients)
            self._sdk = self._sdk or clients(self._chain, self._credentials)
        async with self._sdk.client(service, limits) as client:
            yield client


def _sdk_clients() -> type["SdkClients"]:
    from worker.clients.aws.sdk import SdkClients  # noqa: PLC0415  0.3 s, megabytes, rarely used

    return SdkClients


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


class AwsService(Struct, frozen=True):
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
