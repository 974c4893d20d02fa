"""The operations that the worker calls, named as the SDK's clients name them, and their clients."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from ssl import SSLContext
from typing import Any

from botocore.session import Session

from worker.clients.aws.wire.call import Credentials, Invoker
from worker.clients.aws.wire.connection import (
    ClientLimits,
    Http,
    endpoint_of,
    transport_to,
    trust,
)
from worker.clients.aws.wire.protocol import (
    DYNAMODB,
    EVENTS,
    SQS,
    STEP_FUNCTIONS,
    Answer,
    Signer,
    dialect_of,
)

__all__ = ["ClientLimits", "WireClients"]

Call = Callable[[str, Mapping[str, Any]], Awaitable[Answer]]

LookUp = Callable[[float], Awaitable[Credentials]]
"""Finds the credentials. Takes the seconds that a call may wait for them when they are renewed."""


class Sqs:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def receive_message(self, **parameters: Any) -> Awaitable[Answer]:
        """Receive up to ten messages, or wait for one."""
        return self._call("ReceiveMessage", parameters)

    def delete_message(self, **parameters: Any) -> Awaitable[Answer]:
        """Delete one message."""
        return self._call("DeleteMessage", parameters)

    def delete_message_batch(self, **parameters: Any) -> Awaitable[Answer]:
        """Delete up to ten messages, each with a result of its own."""
        return self._call("DeleteMessageBatch", parameters)

    def change_message_visibility(self, **parameters: Any) -> Awaitable[Answer]:
        """Change the visibility timeout of one message."""
        return self._call("ChangeMessageVisibility", parameters)

    def change_message_visibility_batch(self, **parameters: Any) -> Awaitable[Answer]:
        """Change the visibility timeouts of up to ten messages, each with a result of its own."""
        return self._call("ChangeMessageVisibilityBatch", parameters)

    def send_message(self, **parameters: Any) -> Awaitable[Answer]:
        """Send one message."""
        return self._call("SendMessage", parameters)

    def send_message_batch(self, **parameters: Any) -> Awaitable[Answer]:
        """Send up to ten messages, each with a result of its own."""
        return self._call("SendMessageBatch", parameters)

    def get_queue_attributes(self, **parameters: Any) -> Awaitable[Answer]:
        """Read the attributes of a queue."""
        return self._call("GetQueueAttributes", parameters)

    def start_message_move_task(self, **parameters: Any) -> Awaitable[Answer]:
        """Let SQS move dead letters back to their queue."""
        return self._call("StartMessageMoveTask", parameters)


class DynamoDb:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def put_item(self, **parameters: Any) -> Awaitable[Answer]:
        """Write an item."""
        return self._call("PutItem", parameters)

    def update_item(self, **parameters: Any) -> Awaitable[Answer]:
        """Change an item."""
        return self._call("UpdateItem", parameters)

    def delete_item(self, **parameters: Any) -> Awaitable[Answer]:
        """Delete an item."""
        return self._call("DeleteItem", parameters)

    def query(self, **parameters: Any) -> Awaitable[Answer]:
        """Read a page of the items of one partition."""
        return self._call("Query", parameters)


class StepFunctions:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def start_execution(self, **parameters: Any) -> Awaitable[Answer]:
        """Start an execution."""
        return self._call("StartExecution", parameters)


class Events:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def put_events(self, **parameters: Any) -> Awaitable[Answer]:
        """Put up to ten events on a bus, each with a result of its own."""
        return self._call("PutEvents", parameters)

    def describe_event_bus(self, **parameters: Any) -> Awaitable[Answer]:
        """Describe an event bus."""
        return self._call("DescribeEventBus", parameters)

    def list_rule_names_by_target(self, **parameters: Any) -> Awaitable[Answer]:
        """List the rules of a bus that have a target."""
        return self._call("ListRuleNamesByTarget", parameters)


Client = Sqs | DynamoDb | StepFunctions | Events


class WireClients:
    """Makes clients of four services with the region, endpoint and credentials of one chain."""

    def __init__(self, chain: Session, look_up: LookUp, http: Http) -> None:
        """`http`: by whose connections; behind a proxy it is aiohttp's."""
        self._chain = chain
        self._look_up = look_up
        self._http = http

    @staticmethod
    def speaks(service: str) -> bool:
        """Return True for the four."""
        return dialect_of(service) is not None

    @asynccontextmanager
    async def open(self, service: str, limits: ClientLimits) -> AsyncIterator[Client]:
        """Open a client of one of the four. Raises as `endpoint_of` does; KeyError for others."""
        dialect = dialect_of(service)
        if dialect is None:
            raise KeyError(service)
        endpoint = endpoint_of(self._chain, service)
        trusted = self._trusted if endpoint.url.scheme == "https" else None
        credentials = await self._look_up(limits.attempt_seconds)
        async with transport_to(endpoint, limits, trusted, self._http) as transport:
            signer = Signer(dialect, endpoint)
            invoker = Invoker(dialect, signer, transport, credentials, limits.attempts)
            yield _client(service, invoker.call)

    @cached_property
    def _trusted(self) -> SSLContext:
        # Shared: the certificates of a context take a megabyte.
        return trust(self._chain)


def _client(service: str, call: Call) -> Client:
    match service:
        case SQS.service:
            return Sqs(call)
        case DYNAMODB.service:
            return DynamoDb(call)
        case STEP_FUNCTIONS.service:
            return StepFunctions(call)
        case EVENTS.service:
            return Events(call)
    raise KeyError(service)
