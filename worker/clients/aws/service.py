"""An AWS service with its guard: what bounds, retries and refuses the calls."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker.clients.aws.errors import aws_errors, failure_called
from worker.errors import WorkerError
from worker.resilience import Guard


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

    def errors(self) -> AbstractContextManager[None]:
        """Return a block in which every failure of the client is raised as by `call`.

        For what is more than one operation: a streamed body, a signed URL, a batch whose entries
        have answers of their own. Such a block belongs into `guard.call`.
        """
        return aws_errors(self.name, self.setting)

    def failure(self, code: str) -> WorkerError:
        """Return what AWS's error code means where it is no call's but that of a batch's entry."""
        return failure_called(self.name, code, setting=self.setting)
