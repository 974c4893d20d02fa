"""A service with its guard: what a job calls, and what bounds, retries and refuses the calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker.clients.aws import aws_errors
from worker.clients.http import HttpClient
from worker.clients.http_types import Reply, Request, failure_of
from worker.resilience import Guard


@dataclass(frozen=True, slots=True)
class AwsService:
    """An AWS service."""

    name: str
    client: Any
    """Of botocore's kind: its classes are made at run time."""

    guard: Guard

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Call an operation, e.g. `put_record`. Raises Permanent or Transient, by AWS's code."""
        return await self.guard.call(partial(self._call, operation, parameters))

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        with aws_errors(self.name):
            reply: Mapping[str, Any] = await getattr(self.client, operation)(**parameters)
        return reply


@dataclass(frozen=True, slots=True)
class HttpService:
    """An HTTP endpoint."""

    name: str
    client: HttpClient
    guard: Guard

    async def send(self, request: Request, *, repeatable: bool = False) -> Reply:
        """Send a request and return the reply of 2xx.

        `repeatable`: sent again when it may have arrived. Raises Rejected for another status that
        is the request's fault, Transient otherwise.
        """
        return await self.guard.call(partial(self._send, request), repeatable=repeatable)

    async def _send(self, request: Request) -> Reply:
        reply = await self.client.send(request)
        if not 200 <= reply.status < 300:
            raise failure_of(self.name, reply)
        return reply
