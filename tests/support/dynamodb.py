"""A DynamoDB to test with: moto, a wire to it that can be cut, or a stub of one answer."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.aws import an_aws_client
from tests.support.factories import an_id
from worker.clients.aws.idempotency import IdempotencyStore, IdempotencyTable
from worker.clients.aws.session import AwsService, ClientLimits
from worker.errors import LeaseLost
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy
from worker.resilience.work import current_work


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


def a_client(transport="wire", attempts=1):
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


def a_service(client) -> AwsService:
    """What voice writes its records with; must be made in the loop."""
    return AwsService("dynamodb", client, a_guard(), "DYNAMODB_TABLE")


RETENTION_SECONDS = 1_296_000


class Wire:
    """Passes requests on to `url`; `cut` answers 500 in place of that."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.url = ""
        self.cut = False
        self.requests = 0
        self.replies_to_lose = 0
        """Requests that reach the other side and whose connection is closed then."""

        self.hold = False
        """Let no reply come back."""

        self.held = asyncio.Event()
        """A request reached the other side, and its reply is held."""

    async def serve(self, request):
        body = await request.read()
        self.requests += 1
        if self.cut:
            return web.Response(status=500, body=b"{}", content_type="application/x-amz-json-1.0")
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.post(self.upstream, data=body, headers=request.headers) as reply,
        ):
            content = await reply.read()
        if self.hold:
            self.held.set()
            while self.hold:  # noqa: ASYNC110  ends with the test at the latest
                await asyncio.sleep(0.01)
        if self.replies_to_lose:
            self.replies_to_lose -= 1
            request.transport.abort()
        return web.Response(
            status=reply.status,
            body=content,
            headers={"Content-Type": reply.headers["Content-Type"]},
        )


@asynccontextmanager
async def a_wire(upstream):
    wire = Wire(upstream)
    app = web.Application(client_max_size=2**21)
    app.router.add_route("*", "/{tail:.*}", wire.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        wire.url = f"http://{host}:{port}"
        yield wire
    finally:
        await runner.cleanup()


async def a_store_table(client):
    name = f"idempotency-{an_id()}"
    await client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def a_store(client, table, *, lease_seconds=120.0, fail_open=False, ahead=0.0):
    """`ahead`: seconds by which this worker's wall clock is before the others'."""
    rows = IdempotencyTable(
        client,
        table,
        a_guard(),
        lambda: time.time() + ahead,
        lease_seconds=lease_seconds,
        retention_seconds=RETENTION_SECONDS,
    )
    return IdempotencyStore(rows, lease_seconds, fail_open=fail_open)


class Strict:
    """Makes no call for a message that is another's by now, as guards do."""

    def __init__(self, guard):
        self._guard = guard

    async def call(self, attempt, **how):
        if not all(work.holds_lease() for work in current_work()):
            raise LeaseLost("lost")
        return await self._guard.call(attempt, **how)
