"""The EventBridge integration through the API: what a half-seen one must not do."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

import orjson
import pytest

from tests.support.factories import OneForAll, an_id
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.dialects import Platform
from worker.clients.genesys.integrations import Integrations, SourceConfig, draft, enable
from worker.clients.genesys.integrations import integrations as page_of_integrations
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.replies import hang
from worker.errors import Permanent, Rejected, Unavailable
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SOURCE = SourceConfig(
    account_id="111122223333", region="eu-west-1", suffix="prod", topics=("v2.x.{id}.y",)
)


@asynccontextmanager
async def integrations():
    async with (
        GenesysServer() as cloud,
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=5)) as http,
    ):
        tokens = Tokens(http, Platform().token(cloud.client_id, cloud.client_secret))
        policy = GuardPolicy(RetryPolicy(attempts=3, base_seconds=0.1, cap_seconds=1), 60)
        clock = asyncio.get_running_loop().time
        breaker = Breaker("genesys", BreakerPolicy(), clock=clock, random=Random(1))
        guards = OneForAll(Guard(policy, breaker=breaker, random=Random(1)))
        yield Integrations(Api(http, tokens, guards)), cloud
        await tokens.aclose()


async def test_a_change_of_what_is_not_the_latest_is_refused():
    async with integrations() as (client, _):
        seen = await client.create()
        await client.configure(seen, SOURCE)

        with pytest.raises(Rejected) as caught:
            await client.configure(seen, SOURCE)

    assert caught.value.status == 409


async def test_making_one_is_not_repeated_when_no_answer_came():
    async with integrations() as (client, cloud):
        cloud.fail_with("integration", hang)

        with pytest.raises(Unavailable):
            await client.create()

        assert cloud.counts["integration"] == 1


async def test_one_that_is_not_configured_cannot_be_enabled():
    async with integrations() as (client, _):
        made = await client.create()

        with pytest.raises(Rejected) as caught:
            await client.enable(made)

    assert caught.value.status == 400


async def test_what_was_configured_is_found_again():
    async with integrations() as (client, cloud):
        cloud.integrations[an_id()] = {"id": an_id(), "integrationType": {"id": "other"}}
        await client.configure(await client.create(), SOURCE)

        (found,) = await client.event_sources()

    assert found.draft.source == SOURCE
    assert found.draft.version == 2


@pytest.mark.parametrize(
    ("number", "answer", "is_last"),
    [
        (1, {"pageSize": 25, "pageCount": 3, "total": 60}, False),
        (3, {"pageSize": 25, "pageCount": 3, "total": 60}, True),
        (1, {}, True),
        (7, {"entities": [], "pageCount": 9}, True),
    ],
)
async def test_a_server_may_give_shorter_pages_than_were_asked_for(number, answer, is_last):
    body = orjson.dumps({"entities": [{"id": "a"}] * 25} | answer)
    reply = Reply(status=200, body=body, received_at=datetime.now(UTC))

    assert page_of_integrations(number).read(reply).is_last is is_last


@pytest.mark.parametrize("hostile", ["", "..", "../../oauth/clients", "a/b"])
async def test_no_id_leaves_its_place_in_a_path(hostile):
    for build in (draft, enable):
        with pytest.raises(Permanent, match="is not a UUID"):
            build(hostile)
