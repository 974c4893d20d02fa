"""A DynamoDB to test with: moto over HTTP, or a stub that answers whatever is asked of it."""

import json
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web
from tests.support.aws import an_aws_client
from tests.support.factories import an_id

from worker.clients.aws.session import ClientLimits
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy


@asynccontextmanager
async def a_stub(status: int, body: dict[str, Any]):
    """Answers every request alike; yields its URL."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=status, body=json.dumps(body), content_type="application/x-amz-json-1.0"
        )

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def a_client(transport="lean", attempts=1):
    """A DynamoDB client for AWS_ENDPOINT_URL, to be entered."""
    limits = ClientLimits(pool=5, read_seconds=60, attempts=attempts)
    return an_aws_client("dynamodb", transport, limits)


async def a_table(client) -> str:
    name = f"records-{an_id()}"
    keys = {"conversationId": "HASH", "eventTimestamp": "RANGE"}
    await client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


async def items_of(client, table) -> list[dict[str, Any]]:
    found = (await client.scan(TableName=table, ConsistentRead=True))["Items"]
    return sorted(found, key=lambda item: item["eventTimestamp"]["S"])


def a_guard(attempts: int = 1) -> Guard:
    """Must be made in the loop."""
    policy = GuardPolicy(RetryPolicy(attempts, 0.001, 0.001), deadline_seconds=60)
    breaker = Breaker("dynamodb", BreakerPolicy(), clock=lambda: 0.0, random=Random(1))
    return Guard(policy, breaker=breaker, random=Random(1))
