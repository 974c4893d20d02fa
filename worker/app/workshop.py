"""What every part of the worker is built with."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from worker.app.upstreams import Upstreams
from worker.clients.aws.errors import setting_errors
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Workshop:
    """Settings and tools; what is opened with `stack` is closed with the worker, last one first."""

    settings: Settings
    upstreams: Upstreams
    aws: AwsSession
    stack: AsyncExitStack
    random: Random

    async def aws_client(self, service: str, limits: ClientLimits) -> Any:
        """Open an AWS client for the life of the worker. Raises ConfigurationError."""
        with setting_errors():
            return await self.stack.enter_async_context(self.aws.client(service, limits))


def new_workshop(settings: Settings, stack: AsyncExitStack) -> Workshop:
    """Return a workshop with its own randomness, so that replicas do not act in step.

    Raises ConfigurationError.
    """
    random = Random()  # noqa: S311  jitter, not secrets
    return Workshop(
        settings=settings,
        upstreams=Upstreams(settings.breaker, random, settings.retry.after_cap_seconds),
        aws=AwsSession(settings.aws),
        stack=stack,
        random=random,
    )


def now() -> datetime:
    """Return the wall clock: for the age of events and the time of records, never for waits."""
    return datetime.now(UTC)
