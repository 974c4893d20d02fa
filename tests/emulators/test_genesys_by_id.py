"""Lookups of ended conversations: the emulator is as strict as the real Genesys Cloud."""

from contextlib import asynccontextmanager

import orjson
import pytest

from tests.support.factories import NOON, an_id
from tests.support.genesys import api_of, end
from worker.clients.genesys.details_query import PATH as QUERY_PATH
from worker.clients.genesys.details_query import ReferenceDetails, Wanted
from worker.clients.genesys.speech import sentiment_metrics
from worker.clients.genesys.wire import Call, object_of
from worker.clients.http_types import Request
from worker.emulators.genesys import GenesysCloud
from worker.emulators.genesys.cloud import Spoken
from worker.errors import Misconfigured, Rejected

PATH = "/api/v2/analytics/conversations/details"


@pytest.fixture
async def cloud():
    return GenesysCloud()


@asynccontextmanager
async def asking(cloud, text=None):
    async with api_of(cloud, text=text) as api:

        async def send(method, path, json=None):
            request = Request(method=method, path=path, template="/", json=json)
            return await api.run(Call(request, object_of))

        yield send


@pytest.fixture
async def ask(cloud):
    async with asking(cloud) as send:
        yield send


def a_query(text, conversation, **over):
    wanted = Wanted(conversation, NOON)
    call = ReferenceDetails().details([wanted]) if text == "r1" else sentiment_metrics(wanted)
    return call.request.json | over


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


def a_platform_query():
    return {
        "interval": "2026-03-02T00:00:00.000Z/2026-03-03T00:00:00.000Z",
        "order": "asc",
        "orderBy": "conversationStart",
        "paging": {"pageSize": 25, "pageNumber": 1},
    }


CHAT = {"type": "medium", "in": ["chat"]}


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("r1", {"size": 1}),
        ("r1", {"filter": []}),
        ("r1", {"filter": [{"type": "conversationId"}]}),
        ("r1", {"filter": [{"type": "mediaType", "value": "voice"}]}),
        ("r1", {"filter": [{"type": "conversationId", "value": an_id()} for _ in "ab"]}),
        ("r1", {"groupBy": []}),
        ("r1", {"dateTo": "2026-01-01T00:00:00Z"}),
        ("r1", {"interval": "PT1H"}),
        ("r1", {"view": "sentiment"}),
        ("r1", {"pageToken": "p2"}),
        ("r3", {"view": "other"}),
        ("r3", {"metrics": ["sentimentTrend"]}),
        ("r3", {"pageSize": 1}),
        ("r3", {"size": 100}),
        ("r3", {"pageToken": "p2"}),
        ("r3", {"groupBy": ["conversationId"]}),
        ("r3", {"filter": [{"type": "conversationId", "value": an_id()}]}),
        ("r3", {"filter": {"type": "or", "clauses": [CHAT, CHAT]}}),
        ("r3", {"filter": {"type": "and", "clauses": [CHAT, CHAT]}}),
    ],
)
async def test_a_reference_query_of_another_shape_is_refused(cloud, text, over):
    conversation = end(cloud)
    cloud.speech.conversations[conversation] = Spoken()
    async with asking(cloud, text) as ask:
        assert (await ask("POST", QUERY_PATH, a_query(text, conversation)))["entities"] != []
        with pytest.raises(Rejected) as caught:
            await ask("POST", QUERY_PATH, a_query(text, conversation, **over))

    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["r1", "r3"])
async def test_a_reference_query_finds_by_the_day_of_the_start(cloud, text):
    conversation = end(cloud)
    times = {"dateFrom": "2026-03-03T00:00:00Z", "dateTo": "2026-03-04T00:00:00Z"}
    async with asking(cloud, text) as ask:
        answer = await ask("POST", QUERY_PATH, a_query(text, conversation, **times))

    assert answer == {"entities": [], "nextPageToken": None}


QUERIES = {
    "platform": a_platform_query(),
    "r1": a_query("r1", an_id()),
    "r3": a_query("r3", an_id()),
}


@pytest.mark.parametrize("asked", QUERIES)
@pytest.mark.parametrize("text", ["platform", "r1", "r3", "r4"])
async def test_a_token_is_good_for_the_form_of_its_own_text_alone(cloud, text, asked):
    async with asking(cloud, None if text == "platform" else text) as ask:
        if text == asked:
            await ask("POST", QUERY_PATH, QUERIES[asked])
            return
        with pytest.raises(Rejected):
            await ask("POST", QUERY_PATH, QUERIES[asked])


@pytest.mark.parametrize("text", ["r0", "r1", "r3", "r4"])
async def test_a_token_of_a_text_lacks_the_scope_of_the_platforms_calls(cloud, text):
    async with asking(cloud, text) as ask:
        with pytest.raises(Misconfigured, match="insufficient_scope"):
            await ask("GET", f"/api/v2/conversations/{an_id()}")


async def test_the_platforms_own_query_still_has_its_place(ask, cloud):
    answer = await ask("POST", QUERY_PATH, a_platform_query())

    assert orjson.dumps(answer) == b'{"totalHits":0}'
