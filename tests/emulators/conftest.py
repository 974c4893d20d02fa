"""SQS servers and clients of them: ours, and moto as the referee."""

from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp
import pytest

from worker.clients.aws.session import AwsSession, ClientLimits
from worker.emulators.sqs import SqsServer

LIMITS = ClientLimits(pool=10, read_seconds=30, attempts=1)


@pytest.fixture
def sqs_client_of(monkeypatch):
    """Make clients of the server at a URL, of the SDK: what it understands is right."""

    @asynccontextmanager
    async def connect(endpoint_url):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint_url)
        async with AwsSession(transport="sdk").client("sqs", LIMITS) as client:
            yield client

    return connect


@pytest.fixture
async def sqs():
    async with SqsServer() as server:
        yield server


@pytest.fixture
async def sqs_client(sqs, sqs_client_of):
    async with sqs_client_of(sqs.endpoint_url) as client:
        yield client


@pytest.fixture
async def sqs_post(sqs):
    """Call our server without an SDK, so without its retries and checks."""
    async with aiohttp.ClientSession() as session:

        async def post(action, **parameters):
            target = {"X-Amz-Target": f"AmazonSQS.{action}"}
            async with session.post(sqs.endpoint_url, json=parameters, headers=target) as reply:
                return reply.status, reply.headers, await reply.json(content_type=None)

        yield post


@pytest.fixture(params=["emulator", "moto"])
async def any_client(request, sqs_client_of):
    """Give a client of each server in turn; what it proves holds for both."""
    if request.param == "moto":
        async with sqs_client_of(request.getfixturevalue("moto")) as client:
            yield client
        return
    async with SqsServer() as server, sqs_client_of(server.endpoint_url) as client:
        yield client


@pytest.fixture
def a_queue(any_client):
    """Make a fresh queue; moto purges one at most once a minute."""

    async def create(*, fifo=False, **attributes):
        name = f"q-{uuid4().hex[:12]}"
        if fifo:
            name, attributes = f"{name}.fifo", {"FifoQueue": "true", **attributes}
        reply = await any_client.create_queue(QueueName=name, Attributes=attributes)
        return reply["QueueUrl"]

    return create
