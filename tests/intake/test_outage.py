"""An upstream that is down for minutes of virtual time, the queue and the API in the same loop."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest

from tests.factories import a_reference_body, a_voice_scored
from worker.app.genesys import build_genesys
from worker.app.workshop import new_workshop
from worker.demo.genesys.server import GenesysServer
from worker.domain.result import Result
from worker.settings import load_settings

OUTAGE_SECONDS = 120
MESSAGES = 30


@pytest.fixture
async def genesys():
    async with GenesysServer() as cloud:
        yield cloud


class AskGenesys:
    """A handler that needs one answer of the data action."""

    def __init__(self, client):
        self._client = client
        self.seen = []

    async def __call__(self, event):
        await self._client.execute_data_action("action", {"phone_number": "+15550100001"})
        self.seen.append(event.conversation_id)
        return Result.OK


@asynccontextmanager
async def a_handler(genesys, queue):
    """Build the client inside the test: virtual time begins there."""
    settings = load_settings(
        {
            "SQS_QUEUE_URL": queue,
            "GENESYS_API_URL": genesys.url,
            "GENESYS_LOGIN_URL": genesys.url,
            "GENESYS_CLIENT_ID": genesys.client_id,
            "GENESYS_CLIENT_SECRET": genesys.client_secret,
            "GENESYS_ACTION_ID": "action",
            "GENESYS_REQUESTS_PER_MINUTE": "6000",
            "DYNAMODB_TABLE": "table",
        }
    )
    async with AsyncExitStack() as stack:
        parts = await build_genesys(new_workshop(settings, stack))
        yield AskGenesys(parts.client)


@pytest.mark.looptime
async def test_an_outage_of_two_minutes_parks_nothing_probes_one_at_a_time_and_recovers(
    sqs, queue, dead_letters, genesys, start_intake
):
    ids = [a_voice_scored() for _ in range(MESSAGES)]
    for event in ids:
        sqs.send(queue, a_reference_body(event).decode())
    genesys.fail_with("data_action", 503)

    async with a_handler(genesys, queue) as handler, start_intake(handler):
        await asyncio.sleep(OUTAGE_SECONDS)
        asked_at = [a.at for a in genesys.arrivals if a.endpoint == "data_action"]
        genesys.heal("data_action")
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 300)

    assert sum(sqs.depth(dead_letters)) == 0
    assert sorted(handler.seen) == sorted(event.conversation_id for event in ids)
    probes = [at for at in asked_at if at > asked_at[0] + 5]
    assert all(later - earlier > 1 for earlier, later in pairwise(probes))
    assert len(probes) < 15
