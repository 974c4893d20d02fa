"""Dead letters to test with, sent by the worker's own code."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.support.factories import an_id
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.aws.sqs import Message, Queue
from worker.intake.dead_letters import DeadLetters
from worker.intake.outcome import Attempt, Failure

LIMITS = ClientLimits(pool=5, read_seconds=60, attempts=1)
NOW = 1_772_452_800.0

ABC = Failure(
    reason="conversationId: empty", error_class="Permanent", fingerprint="abcabcabcabc",
    job="voice",
)  # fmt: skip
XYZ = Failure(
    reason="genesys: 404 not.found", error_class="Rejected", fingerprint="xyzxyzxyzxyz",
    job="workflow",
)  # fmt: skip


@dataclass(frozen=True)
class DeadLettered:
    """A message as it was on the queue, and why it was dead-lettered."""

    body: str
    failure: Failure = ABC
    group_id: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    failed_at: float = NOW


def dead_letters(count, failure=ABC, **over):
    return [DeadLettered(f'{{"n": "{an_id()}"}}', failure, **over) for _ in range(count)]


def dead_lettered(dead_letter_url, *wanted):
    """Dead-dead_letter them as the worker does."""

    async def send():
        async with AwsSession().client("sqs", LIMITS) as client:
            queue = Queue("", polls=client, acks=client)
            writer = DeadLetters(queue, dead_letter_url)
            for dead_letter in wanted:
                message = Message(
                    id=an_id(),
                    receipt="",
                    body=dead_letter.body,
                    received_at=0,
                    group_id=dead_letter.group_id,
                    attributes=dead_letter.attributes,
                )
                attempt = Attempt(3, 3, dead_letter.failed_at - 60, dead_letter.failed_at)
                assert await writer.send(message, dead_letter.failure, attempt)

    asyncio.run(send())
    return [dead_letter.body for dead_letter in wanted]


def moved(queue_url, *bodies):
    """Let SQS move messages itself to the dead-letter queue of a queue with maxReceiveCount 1."""

    async def receive_twice():
        async with AwsSession().client("sqs", LIMITS) as client:
            for body in bodies:
                await client.send_message(QueueUrl=queue_url, MessageBody=body)
                for _ in range(2):
                    await client.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)

    asyncio.run(receive_twice())
    return list(bodies)
