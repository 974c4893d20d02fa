"""What every part of the worker is built with, and what each job gets of it.

A command that changes nothing builds the same, with a recorder that keeps back what is written.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

from msgspec import Struct, field
from pydantic import HttpUrl

from worker.app.jobs import BUILT_IN
from worker.app.upstreams import LOGIN, Upstreams
from worker.clients import (
    WEBHOOK_LIMITS,
    HttpClient,
    HttpLimits,
    HttpService,
    Sender,
    Webhook,
    origin_of,
)
from worker.clients.aws import (
    AwsService,
    Bus,
    ClientLimits,
    DynamoBudget,
    TableClock,
    setting_errors,
)
from worker.clients.aws.session import AwsSession
from worker.clients.genesys import TRANSCRIPTS, GenesysClients, dialect_of, open_clients
from worker.errors import ConfigurationError
from worker.events import Once, Result
from worker.resilience import Cache, CachePolicy, FleetBudget, Guard, Limiter
from worker.settings import ReferenceText, Settings

AWS_LIMITS = ClientLimits(pool=10, read_seconds=5, attempts=3)
"""For services that are called once a message or less."""

BUDGET = "budget"
BUDGET_LIMITS = ClientLimits(pool=2, connect_seconds=1, read_seconds=2, attempts=1)
"""For the table of the fleet's budget. One attempt: a lost reply must not make a second draw."""

TRANSCRIPT_ATTEMPTS = 2
TRANSCRIPT_DEADLINE_SECONDS = 20
WEBHOOK_ATTEMPTS = 2
WEBHOOK_DEADLINE_SECONDS = 15

TEXTS: Mapping[str, ReferenceText] = {
    "voice": "r0",
    "workflow": "r1",
    "attributes": "r2",
    "sentiment": "r3",
    "reports": "r4",
}
"""The reference text of each job. Jobs of other packages are of r2, whose token is the SDK's."""


class Shared(Struct):
    """What is made once, for all jobs that ask for it."""

    genesys: dict[ReferenceText | None, GenesysClients] = field(default_factory=dict)
    """By reference text, each with a token of its own; the platform has one client for all."""

    budget: Limiter | None = None
    """Of Genesys: one, however many clients."""

    guards: dict[str, Guard] = field(default_factory=dict)
    """Of the parts of the Genesys API."""

    bus: Bus | None = None
    once: Callable[..., Awaitable[Result]] | None = None
    """Of the idempotency store, where messages are taken: a command that only looks has none."""

    caches: dict[tuple[str, str], Cache[bytes, Any]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Outgoing(Struct, frozen=True):
    """What stands between the clients and the network: nothing, unless writes are kept back."""

    http: Callable[[str, HttpClient], Sender] = lambda _, client: client
    """Given the name of an upstream and its client, returns what sends in its place."""

    aws: Callable[[str, Any], Any] = lambda _, client: client
    """Given a service and its client, returns what is called in its place."""


DIRECT = Outgoing()


class AppContext(Struct, frozen=True):
    """Settings and tools; what is opened with `stack` is closed with the worker, last one first."""

    settings: Settings
    upstreams: Upstreams
    aws: AwsSession
    stack: AsyncExitStack
    random: Random
    shared: Shared
    outgoing: Outgoing = DIRECT

    async def aws_client(
        self, service: str, limits: ClientLimits, *, any_operation: bool = False
    ) -> Any:
        """Open an AWS client for the life of the worker. Raises ConfigurationError.

        `any_operation`: not only those that the worker itself calls.
        """
        client = await self._aws_client(service, limits, any_operation=any_operation)
        return self.outgoing.aws(service, client)

    async def _aws_client(
        self, service: str, limits: ClientLimits, *, any_operation: bool = False
    ) -> Any:
        """Open one that calls the service, whatever is kept back of the others."""
        with setting_errors():
            client = self.aws.client(service, limits, any_operation=any_operation)
            return await self.stack.enter_async_context(client)

    async def aws_service(
        self, service: str, limits: ClientLimits, setting: str | None = None
    ) -> AwsService:
        """Open an AWS client with a guard of its own. Raises ConfigurationError."""
        client = await self.aws_client(service, limits)
        return AwsService(service, client, self.upstreams.aws(service), setting)

    async def genesys(self, job: str = "") -> GenesysClients:
        """Return the Genesys client of a job, made when it is first asked for.

        Raises ConfigurationError without credentials.
        """
        settings = self.settings.genesys
        if not settings.client_id or settings.client_secret is None:
            raise ConfigurationError(["GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET: are not set"])
        text = self.text_of(job)
        async with self.shared.lock:
            if text not in self.shared.genesys:
                self.shared.genesys[text] = await self._genesys(job)
            return self.shared.genesys[text]

    def upstreams_of(self, job: str, names: Iterable[str]) -> frozenset[str]:
        """Return the upstreams of these names, and for `login` the one that a job's token is of.

        Each text has its own, where the jobs' own texts are spoken: one refused token, or a host
        that is down, is no other job's business.
        """
        return frozenset(self._login(job) if name == LOGIN else name for name in names)

    def _login(self, job: str) -> str:
        text = self.text_of(job)
        return f"{LOGIN}_{text}" if text and not self.settings.genesys.reference else LOGIN

    def text_of(self, job: str) -> ReferenceText | None:
        """Return the reference text that a job is of; None on the platform."""
        settings = self.settings.genesys
        if settings.dialect == "platform":
            return None
        return settings.reference or TEXTS.get(job, "r2")

    async def _genesys(self, job: str) -> GenesysClients:
        settings, upstreams, shared = self.settings.genesys, self.upstreams, self.shared
        if shared.budget is None:
            shared.budget = upstreams.limiter(settings, await self._fleet())
            shared.guards |= upstreams.genesys(settings, shared.budget)
            shared.guards[TRANSCRIPTS] = upstreams.http(
                TRANSCRIPTS, TRANSCRIPT_ATTEMPTS, TRANSCRIPT_DEADLINE_SECONDS
            )
        login = self._login(job)
        guards = {**shared.guards, LOGIN: upstreams.login(settings, login)}
        dialect = dialect_of(settings, self.text_of(job) or "r2")
        clients = await open_clients(
            self.settings,
            dialect,
            guards,
            shared.budget,
            self.random,
            self.stack,
            self.outgoing.http,
        )
        tokens = clients.tokens
        upstreams.report_problem_of(login, lambda: tokens.refusal, tokens)
        return clients

    async def _fleet(self) -> FleetBudget | None:
        """Return this replica's part of the fleet's budget; None without a table or a number."""
        settings, table = self.settings.genesys, self.settings.budget_table
        if settings.fleet_requests_per_minute is None or table is None:
            return None
        # A draw is no effect of an event: what asks takes slots, also where all else is kept back.
        client = await self._aws_client("dynamodb", BUDGET_LIMITS)
        setting = "BUDGET_TABLE" if self.settings.budget.table else "LEDGER_TABLE"
        service = AwsService(BUDGET, client, self.upstreams.aws(BUDGET), setting)
        clock = TableClock(asyncio.get_running_loop().time, time.time)
        budget = DynamoBudget(service, table, settings.client_id or "", clock)
        fleet = FleetBudget(budget, settings.fleet_requests_per_minute, random=self.random)
        self.stack.push_async_callback(fleet.aclose)
        return fleet

    async def event_bus(self) -> Bus:
        """Return the event bus, made when it is first asked for: all jobs share its calls."""
        async with self.shared.lock:
            if self.shared.bus is None:
                events = await self.aws_service("events", AWS_LIMITS, "EVENT_BUS_NAME")
                self.shared.bus = Bus(events, self.settings.event_bus.name, self.random)
                self.stack.push_async_callback(self.shared.bus.aclose)
            return self.shared.bus

    async def webhook(self, name: str, url: HttpUrl | None, setting: str = "") -> Webhook | None:
        """Return the webhook called `name` in logs and metrics; None when no URL is set."""
        if url is None:
            return None
        secret = self.settings.webhooks.secret
        http = HttpClient(name, origin_of(name, str(url)), WEBHOOK_LIMITS)
        await self.stack.enter_async_context(http)
        guard = self.upstreams.http(name, WEBHOOK_ATTEMPTS, WEBHOOK_DEADLINE_SECONDS)
        value = secret.get_secret_value if secret else None
        sender = self.outgoing.http(name, http)
        return Webhook(name, str(url), value, guard, sender, setting=setting)


class JobContext(Struct, frozen=True):
    """What one job is built with: `worker.api.Context`."""

    job: str
    app: AppContext

    @property
    def random(self) -> Random:
        """The worker's own randomness."""
        return self.app.random

    @property
    def concurrency(self) -> int:
        """Messages that may be worked on at once."""
        return self.app.settings.sqs.concurrency

    @property
    def queue_urls(self) -> Sequence[str]:
        """URLs of the queues that the worker takes events from."""
        return self.app.settings.sqs.queue_urls

    @property
    def reference_text(self) -> ReferenceText | None:
        """The reference text whose API the job speaks; None: the platform's."""
        return self.app.text_of(self.job)

    def now(self) -> datetime:
        """Return the wall clock."""
        return now()

    async def genesys(self) -> GenesysClients:
        """Return the Genesys client of all jobs; of the job's text in the reference dialect."""
        return await self.app.genesys(self.job)

    async def aws(
        self,
        service: str,
        limits: ClientLimits | None = None,
        *,
        setting: str | None = None,
        upstream: str | None = None,
    ) -> AwsService:
        """Open a client of an AWS service, with a guard of its own."""
        # The wire client has the operations that the box calls; a job of another package may call
        # any of them.
        client = await self.app.aws_client(
            service, limits or AWS_LIMITS, any_operation=self.job not in BUILT_IN
        )
        return AwsService(service, client, self.app.upstreams.aws(upstream or service), setting)

    async def http(
        self,
        name: str,
        url: str,
        *,
        setting: str,
        timeout_seconds: float,
        deadline_seconds: float,
        attempts: int,
    ) -> HttpService:
        """Open a client of an HTTP endpoint, with a guard of its own."""
        limits = HttpLimits(total_seconds=timeout_seconds, connections=self.concurrency)
        http = HttpClient(name, origin_of(setting, url), limits)
        await self.app.stack.enter_async_context(http)
        guard = self.app.upstreams.http(name, attempts, deadline_seconds)
        return HttpService(name, self.app.outgoing.http(name, http), guard, setting)

    async def webhook(self, name: str, url: HttpUrl | None, setting: str = "") -> Webhook | None:
        """Return a signed webhook; None without a URL."""
        return await self.app.webhook(name, url, setting)

    async def event_bus(self) -> Bus:
        """Return the bus of all jobs."""
        return await self.app.event_bus()

    @property
    def once(self) -> Once:
        """Runs what this job did not do for a key yet; all of it where no messages are taken."""
        return partial(_once, self.app.shared, self.job)

    def cache(self, name: str) -> Cache[bytes, Any]:
        """Return a cache as the settings want it: one for all that a command builds of a job."""
        key, caches = (self.job, name), self.app.shared.caches
        if key not in caches:
            policy = CachePolicy(**self.app.settings.cache.model_dump())
            caches[key] = Cache(name, policy, random=self.app.random)
        return caches[key]

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` when the worker ends, before what was opened earlier is closed."""
        self.app.stack.push_async_callback(close)


async def _once(
    shared: Shared,
    job: str,
    key: str,
    run: Callable[[], Awaitable[Result]],
    *,
    conversation_id: str | None = None,
) -> Result:
    # Not before it is called: the store is made after the jobs.
    if shared.once is None:
        return await run()
    return await shared.once(job, key, run, proof="store", conversation_id=conversation_id)


def new_context(
    settings: Settings, stack: AsyncExitStack, outgoing: Outgoing = DIRECT
) -> AppContext:
    """Return a context with its own randomness, so that replicas do not act in step.

    Raises ConfigurationError.
    """
    random = Random()  # noqa: S311  jitter, not secrets
    return AppContext(
        settings=settings,
        upstreams=Upstreams(settings.breaker, random, settings.retry.after_cap_seconds),
        aws=AwsSession(settings.aws.region, settings.aws.transport),
        stack=stack,
        random=random,
        shared=Shared(),
        outgoing=outgoing,
    )


def now() -> datetime:
    """Return the wall clock: for the age of events and the time of records, never for waits."""
    return datetime.now(UTC)
