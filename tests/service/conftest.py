"""A whole worker process on emulators, configured by its environment only."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from worker.demo.environment import TABLE, open_environment
from worker.demo.fixtures import make_fixtures
from worker.demo.process import WorkerProcess

SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name):
    """Return a recorded event or reply as text."""
    return (SAMPLES / name).read_text()


@pytest.fixture
async def emulators():
    async with open_environment() as emulators:
        await make_fixtures(emulators)
        yield emulators


@pytest.fixture
def start_worker(emulators, tmp_path):
    """Return a context manager that runs a worker on the emulators, its settings overridden."""

    @asynccontextmanager
    async def start(name="worker", *, until_ready=True, **overrides):
        environment = emulators.variables() | {k: str(v) for k, v in overrides.items()}
        async with WorkerProcess(
            environment, tmp_path / f"{name}.log", until_ready=until_ready
        ) as worker:
            yield worker

    return start


@pytest.fixture
def known_customer(emulators):
    """The customer of the sample events, known to the data action and live."""
    emulators.genesys.customers["+15550100001"] = {"tier": "gold", "ltv": 12500.0}
    live = json.loads(sample("replies/platform/conversation_live.json"))
    emulators.genesys.conversations[live["id"]] = live


@pytest.fixture
def records(emulators):
    """Return a function that reads the whole table."""

    async def read():
        async with emulators.aws("dynamodb") as dynamodb:
            return (await dynamodb.scan(TableName=TABLE))["Items"]

    return read


@pytest.fixture
def settled(emulators):
    """Return a function that waits until the queue is empty."""

    async def wait(seconds=120):
        await emulators.sqs.wait_until(
            lambda: sum(emulators.sqs.depth(emulators.queue_url)) == 0, seconds
        )

    return wait


@pytest.fixture
def eventually():
    """Return a function that waits for an effect in another process."""

    async def wait(predicate, seconds=60):
        async with asyncio.timeout(seconds):
            while not await predicate():  # noqa: ASYNC110  another process has no event
                await asyncio.sleep(0.02)

    return wait
