"""Lookups of ended conversations: the emulator is as strict as the real Genesys Cloud."""

import orjson
import pytest

from tests.support.factories import NOON, an_id
from tests.support.genesys import api_of, end
from worker.clients.genesys.conversations import QUERY_PATH, Wanted, reference_query
from worker.clients.genesys.wire import Call, object_of
from worker.clients.http_types import Request
from worker.emulators.genesys import GenesysCloud
from worker.emulators.genesys.cloud import Spoken
from worker.errors import Rejected

PATH = "/api/v2/analytics/conversations/details"


@pytest.fixture
async def cloud():
    return GenesysCloud()


@pytest.fixture
async def ask(cloud):
    async with api_of(cloud) as api:

        async def send(method, path, json=None):
            request = Request(method=method, path=path, template="/", json=json)
            return await api.run(Call(request, object_of))

        yield send


def a_query(**over):
    return reference_query(Wanted(an_id(), NOON)) | over


@pytest.mark.parametrize(
    "query",
    ["", "?id=", "?id=1", "?ids=1", "?id=..", "?id=" + ",".join(an_id() for _ in range(101))],
)
async def test_a_multi_get_takes_a_hundred_ids_and_nothing_else(ask, query):
    with pytest.raises(Rejected) as caught:
        await ask("GET", PATH + query)

    assert caught.value.status == 400


async def test_a_multi_get_without_a_find_has_no_list_at_all(ask):
    assert await ask("GET", f"{PATH}?id={an_id()}") == {}


@pytest.mark.parametrize(
    "over",
    [
        {"size": 0},
        {"size": 101},
        {"filter": []},
        {"filter": [{"type": "conversationId"}]},
        {"filter": [{"type": "mediaType", "value": "voice"}]},
        {"dateTo": "2026-01-01T00:00:00Z"},
        {"interval": "PT1H"},
        {"view": "sentiment"},
        {"view": "other", "metrics": []},
        {"view": "sentiment", "metrics": ["sentimentTrend"]},
    ],
)
async def test_a_reference_query_of_another_shape_is_refused(ask, cloud, over):
    conversation = end(cloud)
    cloud.speech.conversations[conversation] = Spoken()
    query = {"filter": [{"type": "conversationId", "value": conversation}], **over}
    with pytest.raises(Rejected) as caught:
        await ask("POST", QUERY_PATH, a_query(**query))

    assert caught.value.status == 400


async def test_a_reference_query_for_two_conversations_finds_neither(ask, cloud):
    filters = [{"type": "conversationId", "value": end(cloud)} for _ in "ab"]

    answer = await ask("POST", QUERY_PATH, a_query(filter=filters))

    assert answer == {"entities": [], "nextPageToken": None}


async def test_a_reference_query_finds_by_the_day_of_the_start(ask, cloud):
    conversation = end(cloud)
    wanted = [{"type": "conversationId", "value": conversation}]
    times = {"dateFrom": "2026-03-03T00:00:00Z", "dateTo": "2026-03-04T00:00:00Z"}

    assert (await ask("POST", QUERY_PATH, a_query(filter=wanted)))["entities"] != []
    assert (await ask("POST", QUERY_PATH, a_query(filter=wanted, **times)))["entities"] == []


async def test_the_platforms_own_query_still_has_its_place(ask, cloud):
    body = {
        "interval": "2026-03-02T00:00:00.000Z/2026-03-03T00:00:00.000Z",
        "order": "asc",
        "orderBy": "conversationStart",
        "paging": {"pageSize": 25, "pageNumber": 1},
    }

    assert orjson.dumps(await ask("POST", QUERY_PATH, body)) == b'{"totalHits":0}'
