"""The actions on queues: create, look up, set, purge, delete, and move dead letters."""

from worker.emulators.sqs.actions import Answer, Call
from worker.emulators.sqs.attributes import SETTABLE
from worker.emulators.sqs.errors import SqsError
from worker.emulators.sqs.moves import MoveTasks
from worker.emulators.sqs.parameters import names, optional_text, text, whole
from worker.emulators.sqs.queue import Queue
from worker.emulators.sqs.queues import Queues
from worker.emulators.sqs.rendering import render_queue


class QueueActions:
    """The actions on queues, each a method of SQS's name in snake case."""

    def __init__(self, queues: Queues, moves: MoveTasks) -> None:
        self._queues = queues
        self._moves = moves

    async def create_queue(self, call: Call) -> Answer:
        """Make a queue, or find the same one."""
        given = call.parameters.get("Attributes") or {}
        queue = self._queues.create(text(call.parameters, "QueueName"), given)
        return {"QueueUrl": self._queues.url(queue)}

    async def get_queue_url(self, call: Call) -> Answer:
        """Find a queue by name."""
        queue = self._queues.find(text(call.parameters, "QueueName"))
        return {"QueueUrl": self._queues.url(queue)}

    async def list_queues(self, call: Call) -> Answer:
        """List queues by prefix, in pages when `MaxResults` asks for them."""
        prefix = optional_text(call.parameters, "QueueNamePrefix") or ""
        after = optional_text(call.parameters, "NextToken") or ""
        at_most = whole(call.parameters, "MaxResults", 1, 1000)
        found = sorted(
            (queue for queue in self._queues if queue.name.startswith(prefix)),
            key=lambda queue: queue.name,
        )
        rest = [queue for queue in found if queue.name > after]
        page = rest[:at_most]
        more = {"NextToken": page[-1].name} if len(page) < len(rest) else {}
        return ({"QueueUrls": [self._queues.url(queue) for queue in page]} if page else {}) | more

    async def get_queue_attributes(self, call: Call) -> Answer:
        """Return the attributes asked for; `Attributes` is absent when none has a value."""
        queue = self._queue(call)
        values = render_queue(queue, self._queues.created_at(queue))
        if (in_flight := call.injected.in_flight) is not None:
            values["ApproximateNumberOfMessagesNotVisible"] = str(in_flight)
        wanted = names(call.parameters, "AttributeNames")
        if unknown := sorted(wanted - SETTABLE - values.keys() - {"All"}):
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
        chosen = (
            values if "All" in wanted else {name: values[name] for name in wanted & set(values)}
        )
        return {"Attributes": chosen} if chosen else {}

    async def set_queue_attributes(self, call: Call) -> Answer:
        """Set some attributes."""
        self._queues.set_attributes(self._queue(call), call.parameters.get("Attributes") or {})
        return {}

    async def purge_queue(self, call: Call) -> Answer:
        """Drop all messages."""
        self._queues.purge(text(call.parameters, "QueueUrl"))
        return {}

    async def delete_queue(self, call: Call) -> Answer:
        """Drop the queue."""
        self._queues.delete(text(call.parameters, "QueueUrl"))
        return {}

    async def list_dead_letter_source_queues(self, call: Call) -> Answer:
        """List the queues that send their dead letters here; the key is in lower case."""
        sources = self._queues.sources(self._queue(call))
        return {"queueUrls": [self._queues.url(queue) for queue in sources]}

    async def start_message_move_task(self, call: Call) -> Answer:
        """Start moving dead letters."""
        parameters = call.parameters
        handle = self._moves.start(
            text(parameters, "SourceArn"),
            optional_text(parameters, "DestinationArn"),
            whole(parameters, "MaxNumberOfMessagesPerSecond", 1, 500),
        )
        return {"TaskHandle": handle}

    async def list_message_move_tasks(self, call: Call) -> Answer:
        """List the move tasks of a dead-letter queue, newest first."""
        at_most = whole(call.parameters, "MaxResults", 1, 10) or 1
        return {"Results": self._moves.describe(text(call.parameters, "SourceArn"), at_most)}

    async def cancel_message_move_task(self, call: Call) -> Answer:
        """Stop a running move task."""
        moved = self._moves.cancel(text(call.parameters, "TaskHandle"))
        return {"ApproximateNumberOfMessagesMoved": moved}

    def _queue(self, call: Call) -> Queue:
        return self._queues.find(text(call.parameters, "QueueUrl"))
