"""The real intake on the emulated queue, with a handler of the test's own."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.intake.asking import AskGenesys
from worker.app.intake import build_intake
from worker.app.workshop import new_workshop
from worker.demo.genesys.server import GenesysServer
from worker.demo.sqs.server import SqsServer
from worker.domain.result import Result
from worker.events.types import ConversationEnded, VoiceScored
from worker.intake.router import Router
from worker.settings import load_settings


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


class Intake:
    """A running intake; `drain` ends it and tells what became of the messages."""

    def __init__(self, parts, consuming, heartbeat):
        self.parts = parts
        self.consuming = consuming
        self.heartbeat = heartbeat

    async def drain(self, seconds=5):
        report = await self.consumer.drain(seconds)
        await self.acks.close()
        return self.consumer.report() if report else report

    @property
    def consumer(self):
        [consumer] = self.parts.consumers
        return consumer

    @property
    def acks(self):
        return self.consumer.settlement.acks

    @property
    def leases(self):
        return self.consumer.leases

    @property
    def permits(self):
        return self.parts.permits


@pytest.fixture
def start_intake(queue, dead_letters):
    """Return a context manager that runs the intake with one handler for voice scores."""

    @asynccontextmanager
    async def start(handler, make=None, needs=(), beside=None, **overrides):
        """`make`: builds the handler from the intake's own workshop, in place of `handler`.

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
            | ({"STEP_FUNCTIONS_ARN": "arn"} if beside else {})
            | {name: str(value) for name, value in overrides.items()}
        )
        async with AsyncExitStack() as stack:
            router, workshop = Router(), new_workshop(settings, stack)
            router.on(VoiceScored, "voice", await make(workshop) if make else handler, needs=needs)
            if beside:
                router.on(ConversationEnded, "workflow", beside)
            parts = await build_intake(workshop, router)
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


class Recorder:
    """A handler that notes what it was given, after what the test wants it to do."""

    def __init__(self, *behaviours):
        self.seen = []
        self.running = 0
        self.most_at_once = 0
        self._behaviours = list(behaviours)

    async def __call__(self, event):
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self._behaviours:
                await self._behaviours.pop(0)()
        finally:
            self.running -= 1
        self.seen.append(event.conversation_id)
        return Result.OK


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
