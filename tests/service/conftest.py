"""A whole worker process on emulators, configured by its environment only."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.quick_aws import quick_aws  # noqa: F401  a fixture
from worker.demo.environment import FLOW_ID, TABLE, make_fixtures, open_environment
from worker.demo.process import WorkerProcess
from worker.emulators.genesys.cloud import Ended, Spoken, a_conversation, a_transcript
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.sqs import SqsServer

CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"
CUSTOMER = "aa000000-0000-4000-8000-000000000001"
SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name):
    """Return a recorded event or reply as text."""
    return (SAMPLES / name).read_text()


class QueueClock:
    """The clock of the queue's leases and delays, which a test may put forward."""

    def __init__(self):
        self._skipped = 0.0

    def __call__(self):
        return asyncio.get_running_loop().time() + self._skipped

    def skip(self, seconds):
        """Let so much time pass for the queue: what is hidden for less is visible then."""
        self._skipped += seconds


@pytest.fixture
def queue_clock():
    return QueueClock()


@pytest.fixture
async def emulators(queue_clock):
    async with open_environment(SqsServer(clock=queue_clock)) as emulators:
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

    # What the worker samples twice a minute shows in the second or third sample on a busy machine.
    async def wait(predicate, seconds=150):
        async with asyncio.timeout(seconds):
            while not await predicate():  # noqa: ASYNC110  another process has no event
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def severe_chat(emulators):
    """A chat that ended badly, known to analytics, to speech analytics and live."""
    record = a_conversation(
        CONVERSATION,
        "bb000000-0000-4000-8000-000000000001",
        media_type="message",
        start="2026-03-02T10:12:26.000Z",
        end="2026-03-02T10:15:30.000Z",
    )
    emulators.genesys.ended[CONVERSATION] = Ended(record)
    transcript = a_transcript(*[(-1, 0.9)] * 9, (1, 0.9))
    emulators.genesys.speech.conversations[CONVERSATION] = Spoken(
        score=-0.8, transcripts={"bb000000-0000-4000-8000-000000000001": transcript}
    )
    emulators.genesys.conversations[CONVERSATION] = {
        "id": CONVERSATION,
        "participants": [{"id": CUSTOMER, "purpose": "customer"}],
    }


@pytest.fixture
def flow_and_customer(emulators):
    emulators.genesys.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string"})
    emulators.crm.by_phone["+15550100001"] = {"tier": "gold"}
