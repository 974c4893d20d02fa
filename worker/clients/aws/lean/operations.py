"""The operations that the worker calls, with the names and parameters of the SDK's clients."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from worker.clients.aws.lean.dialects import Answer

Call = Callable[[str, Mapping[str, Any]], Awaitable[Answer]]


class Sqs:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def receive_message(self, **parameters: Any) -> Answer:
        """Receive up to ten messages, or wait for one."""
        return await self._call("ReceiveMessage", parameters)

    async def delete_message(self, **parameters: Any) -> Answer:
        """Delete one message."""
        return await self._call("DeleteMessage", parameters)

    async def delete_message_batch(self, **parameters: Any) -> Answer:
        """Delete up to ten messages, each with its own fate."""
        return await self._call("DeleteMessageBatch", parameters)

    async def change_message_visibility(self, **parameters: Any) -> Answer:
        """Hide one message for longer, or show it."""
        return await self._call("ChangeMessageVisibility", parameters)

    async def change_message_visibility_batch(self, **parameters: Any) -> Answer:
        """Hide up to ten messages for longer, or show them, each with its own fate."""
        return await self._call("ChangeMessageVisibilityBatch", parameters)

    async def send_message(self, **parameters: Any) -> Answer:
        """Send one message."""
        return await self._call("SendMessage", parameters)

    async def send_message_batch(self, **parameters: Any) -> Answer:
        """Send up to ten messages, each with its own fate."""
        return await self._call("SendMessageBatch", parameters)

    async def get_queue_attributes(self, **parameters: Any) -> Answer:
        """Read what the queue says of itself."""
        return await self._call("GetQueueAttributes", parameters)

    async def start_message_move_task(self, **parameters: Any) -> Answer:
        """Let SQS move dead letters back."""
        return await self._call("StartMessageMoveTask", parameters)


class DynamoDb:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def put_item(self, **parameters: Any) -> Answer:
        """Write an item."""
        return await self._call("PutItem", parameters)

    async def update_item(self, **parameters: Any) -> Answer:
        """Change an item."""
        return await self._call("UpdateItem", parameters)

    async def delete_item(self, **parameters: Any) -> Answer:
        """Delete an item."""
        return await self._call("DeleteItem", parameters)

    async def query(self, **parameters: Any) -> Answer:
        """Read a page of the items of one partition."""
        return await self._call("Query", parameters)


class StepFunctions:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def start_execution(self, **parameters: Any) -> Answer:
        """Start an execution."""
        return await self._call("StartExecution", parameters)


class Events:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def put_events(self, **parameters: Any) -> Answer:
        """Put up to ten events on a bus, each with its own fate."""
        return await self._call("PutEvents", parameters)

    async def describe_event_bus(self, **parameters: Any) -> Answer:
        """Read what a bus says of itself."""
        return await self._call("DescribeEventBus", parameters)
