"""The real intake on the emulated queue, with a handler of the test's own."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.intake.asking import AskGenesys
from tests.intake.running import Intake, Recorder
from worker.app.context import new_context
from worker.app.intake import build_intake
from worker.app.jobs import load_settings
from worker.emulators.genesys import GenesysServer
from worker.emulators.sqs import SqsServer
from worker.intake.router import Route


@pytest.fixture
async def sqs(monkeypatch):
    loop = asyncio.get_running_loop()
    began = time.time() - loop.time()
    # Its wall clock follows the loop's time, also where that is virtual.
    async with SqsServer(wall_clock=lambda: began + loop.time()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        yield server


@pytest.fixture
def dead_letters(sqs):
    return sqs.create_queue("dead-letters")


@pytest.fixture
def queue(sqs):
    return sqs.create_queue("events", VisibilityTimeout="3")


@pytest.fixture
def start_intake(queue, dead_letters):
    """Return a context manager that runs the intake with one handler for voice scores."""

    @asynccontextmanager
    async def start(handler, make=None, needs=(), beside=None, **overrides):
        """`make`: builds the handler from the intake's own context, in place of `handler`.

        `beside`: another handler, of ends of conversations, which needs no upstream.
        """
        settings = load_settings(
            {
                "SQS_QUEUE_URL": queue,
                "SQS_DEAD_LETTER_QUEUE_URL": dead_letters,
                "SQS_WAIT_SECONDS": "1",
                "SQS_DRAIN_SECONDS": "5",
                "RETRY_BASE_SECONDS": "0.5",
                "GENESYS_CLIENT_ID": "id",
                "GENESYS_CLIENT_SECRET": "secret",
                "GENESYS_ACTION_ID": "action",
                "DYNAMODB_TABLE": "table",
            }
            | (
                {"STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m"}
                if beside
                else {}
            )
            | {name: str(value) for name, value in overrides.items()}
        )
        async with AsyncExitStack() as stack:
            context = new_context(settings, stack)
            run = await make(context) if make else handler
            routes = {"voice": Route(job="voice", run=run, needs=frozenset(needs))}
            if beside:
                routes["workflow"] = Route(job="workflow", run=beside)
            parts = await build_intake(context, routes)
            [consumer] = parts.consumers
            heartbeat = asyncio.create_task(consumer.leases.run())
            consuming = asyncio.create_task(consumer.run())
            try:
                yield Intake(parts, consuming, heartbeat)
            finally:
                parts.permits.close()
                await consumer.drain(3)
                await consumer.settlement.acks.close()
                heartbeat.cancel()
                await asyncio.wait([heartbeat, consuming])

    return start


@pytest.fixture
def recorder():
    return Recorder


@pytest.fixture
async def genesys():
    async with GenesysServer() as cloud:
        yield cloud


@pytest.fixture
def handler():
    return AskGenesys()


@pytest.fixture
def start(start_intake, genesys, handler):
    """Return the intake with that handler, to be started inside the test: time begins there."""
    return lambda beside=None, **overrides: start_intake(
        None,
        beside=beside,
        make=handler.build,
        needs=("data_action",),
        GENESYS_API_URL=genesys.url,
        GENESYS_LOGIN_URL=genesys.url,
        GENESYS_CLIENT_ID=genesys.client_id,
        GENESYS_CLIENT_SECRET=genesys.client_secret,
        GENESYS_REQUESTS_PER_MINUTE=60_000,
        **overrides,
    )
