"""What the worker needs of AWS beside its queues: made on moto, and read back for the proof."""

from typing import Any

import orjson

from worker.demo.environment import (
    FORWARD_BUCKET,
    LEDGER_TABLE,
    REPORT_BUCKET,
    STATE_MACHINE_ARN,
    TABLE,
    Environment,
)
from worker.settings import Idempotency

SUBSCRIBER = "bus-subscriber"
SOURCES = ("genesys.sentiment.forwarder", "genesys.report.writer")
"""Sources of the worker's own events."""

PASS = {"StartAt": "Enrich", "States": {"Enrich": {"Type": "Pass", "End": True}}}
"""A workflow that ends at once: what it would do is not this demo's business."""


async def make_fixtures(environment: Environment) -> None:
    """Make tables, buckets, state machine, and a queue that hears what is put on the bus."""
    await _make_table(environment, TABLE, conversationId="HASH", eventTimestamp="RANGE")
    await _make_table(environment, LEDGER_TABLE, id="HASH")
    await _make_index(environment)
    async with environment.aws("s3") as s3, environment.aws("stepfunctions") as workflows:
        for bucket in (REPORT_BUCKET, FORWARD_BUCKET):
            await s3.create_bucket(Bucket=bucket)
        await workflows.create_state_machine(
            name=STATE_MACHINE_ARN.rpartition(":")[2],
            definition=orjson.dumps(PASS).decode(),
            roleArn="arn:aws:iam::123456789012:role/demo",
        )
    await _make_subscriber(environment)


async def put_events(environment: Environment, source: str) -> list[dict[str, Any]]:
    """Return the events of a source that came over the bus, and take them off its queue."""
    heard: list[dict[str, Any]] = []
    async with environment.aws("sqs") as sqs:
        url = (await sqs.get_queue_url(QueueName=f"{SUBSCRIBER}-{_name(source)}"))["QueueUrl"]
        while True:
            page = await sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
            )
            if not (messages := page.get("Messages", [])):
                return heard
            heard += [orjson.loads(message["Body"]) for message in messages]
            entries = [
                {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)
            ]
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)


async def _make_table(environment: Environment, name: str, **keys: str) -> None:
    """Make a table whose keys, all of them strings, are of these kinds."""
    async with environment.aws("dynamodb") as dynamodb:
        await dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        )


async def _make_index(environment: Environment) -> None:
    """Make the index of the idempotency store by which `worker trace` finds a conversation."""
    key = "conversationId"
    index = {
        "IndexName": Idempotency.INDEX,
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    async with environment.aws("dynamodb") as dynamodb:
        await dynamodb.update_table(
            TableName=LEDGER_TABLE,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )


async def _make_subscriber(environment: Environment) -> None:
    async with environment.aws("sqs") as sqs, environment.aws("events") as bus:
        for source in SOURCES:
            name = f"{SUBSCRIBER}-{_name(source)}"
            await sqs.create_queue(QueueName=name)
            await bus.put_rule(Name=name, EventPattern=orjson.dumps({"source": [source]}).decode())
            arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
            await bus.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])


def _name(source: str) -> str:
    return source.replace(".", "-")
