"""What a job is built with: `worker.api.Context`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any, Protocol

from pydantic import HttpUrl

from worker.clients import HttpService, Webhook
from worker.clients.aws import AwsService, Bus, ClientLimits
from worker.clients.genesys import GenesysClients
from worker.events import Once
from worker.resilience import Cache


class Context(Protocol):
    """What a job is built with; all that it opens is closed with the worker, last one first."""

    @property
    def job(self) -> str:
        """The job's name."""

    @property
    def random(self) -> Random:
        """For jitter: not for secrets."""

    @property
    def concurrency(self) -> int:
        """Messages that may be worked on at once."""

    @property
    def queue_urls(self) -> Sequence[str]:
        """URLs of the queues that the worker takes events from."""

    @property
    def reference_text(self) -> str | None:
        """The reference text whose API the job speaks, r0 to r4; None: the platform's."""

    def now(self) -> datetime:
        """Return the wall clock, aware: for the age of events, never for waits."""

    async def genesys(self) -> GenesysClients:
        """Return the one Genesys client of all jobs; ConfigurationError without credentials."""

    async def aws(
        self,
        service: str,
        limits: ClientLimits | None = None,
        *,
        setting: str | None = None,
        upstream: str | None = None,
    ) -> AwsService:
        """Open a client of an AWS service, as botocore names it.

        `setting`: names what is called, e.g. `DYNAMODB_TABLE`, for errors. `upstream`: its name in
        `needs`, metrics and /status, the service's unless it is given.
        Raises ConfigurationError for a service that the image carries no model of.
        """

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
        """Open a client of an HTTP endpoint.

        `name`: in `needs`, metrics and /status. `setting`: where the URL comes from, for errors.
        `timeout_seconds`: of one reply; `deadline_seconds`: of a call with its retries.
        """

    async def webhook(self, name: str, url: HttpUrl | None, setting: str = "") -> Webhook | None:
        """Return a signed webhook; None without a URL. `setting`: its variable, if not NAME_URL."""

    async def event_bus(self) -> Bus:
        """Return the bus that EVENT_BUS_NAME names; events of all jobs share its calls."""

    @property
    def once(self) -> Once:
        """Runs what this job did not do for a key yet: for effects whose sink knows none."""

    def cache(self, name: str) -> Cache[bytes, Any]:
        """Return a cache as the CACHE_ settings want it, named in metrics."""

    def on_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` when the worker ends, before what was opened earlier is closed."""
