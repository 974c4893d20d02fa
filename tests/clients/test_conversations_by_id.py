"""Details by id: many lookups share a request, and none pays for another's fault."""

import asyncio

import orjson
import pytest

from tests.support.factories import NOON, an_id
from tests.support.genesys import api_of, details_of, end
from worker.clients.genesys.conversations import (
    LONGEST_GAP_SECONDS,
    MOST_REQUESTS,
    Batching,
    PlatformDetails,
)
from worker.clients.genesys.details_query import MOST_PAGES, ReferenceDetails, Wanted
from worker.emulators.genesys import GenesysCloud, analytics
from worker.emulators.genesys.replies import error_body, hang
from worker.errors import Misconfigured, Permanent, RateLimited, Rejected, Unavailable, WorkerError

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

DIALECTS = [PlatformDetails(), ReferenceDetails()]


def now():
    return asyncio.get_running_loop().time()


async def ask(details, ids):
    """Look all up at once; errors stand in the place of answers."""
    lookups = (details.by_id(one, NOON) for one in ids)
    return await asyncio.gather(*lookups, return_exceptions=True)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_conversation_that_ended_is_answered_untouched(dialect):
    cloud = GenesysCloud()
    ended = end(cloud)
    async with details_of(cloud, dialect) as details:
        assert await details.by_id(ended, NOON) == cloud.ended[ended].record


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_conversation_that_is_not_there_is_none(dialect):
    cloud = GenesysCloud()
    async with details_of(cloud, dialect) as details:
        assert await details.by_id(an_id(), NOON) is None


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_live_conversation_is_there_without_its_end(dialect):
    cloud = GenesysCloud()
    live = end(cloud, closed_at=float("inf"))
    async with details_of(cloud, dialect) as details:
        record = await details.by_id(live, NOON)

    assert record == {k: v for k, v in cloud.ended[live].record.items() if k != "conversationEnd"}


async def test_a_conversation_appears_after_the_lag():
    cloud = GenesysCloud()
    async with details_of(cloud) as details:
        ended = end(cloud, listed_at=now() + 60)

        assert await details.by_id(ended, NOON) is None
        await asyncio.sleep(61)
        assert await details.by_id(ended, NOON) is not None


async def test_an_id_in_capitals_is_the_same_conversation():
    cloud = GenesysCloud()
    capital = an_id().upper()
    end(cloud, capital)
    cloud.ended[capital].record["conversationId"] = capital.lower()
    async with details_of(cloud) as details:
        assert await details.by_id(capital, NOON) is not None


async def test_lookups_of_one_moment_share_one_request_and_each_gets_its_own_answer():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(100)]
    async with details_of(cloud) as details:
        answers = await ask(details, ids)

    assert [answer["conversationId"] for answer in answers] == ids
    assert cloud.counts["details_by_id"] == 1


async def test_a_request_carries_no_more_than_a_hundred_ids():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(250)]
    async with details_of(cloud) as details:
        answers = await ask(details, ids)

    assert [answer["conversationId"] for answer in answers] == ids
    assert cloud.counts["details_by_id"] == 3


async def test_an_id_asked_for_twice_is_sent_once():
    cloud = GenesysCloud()
    ended = end(cloud)
    async with details_of(cloud) as details:
        answers = await ask(details, [ended] * 101)

    assert answers == [cloud.ended[ended].record] * 101


async def test_the_reference_dialect_asks_for_one_at_a_time():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(40)]
    async with details_of(cloud, ReferenceDetails()) as details:
        answers = await ask(details, ids)

    assert [answer["conversationId"] for answer in answers] == ids
    assert cloud.counts["details_query"] == 40


async def test_one_refused_id_fails_its_own_caller_only():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(100)]
    cloud.refused_ids = {ids[37]}
    async with details_of(cloud) as details:
        answers = await ask(details, ids)

    assert [place for place, answer in enumerate(answers) if isinstance(answer, Rejected)] == [37]
    assert sum(isinstance(answer, dict) for answer in answers) == 99
    assert cloud.counts["details_by_id"] <= 15


async def test_refusals_of_everything_cost_a_bounded_number_of_requests():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(100)]
    cloud.refused_ids = set(ids)
    async with details_of(cloud) as details:
        answers = await ask(details, ids)

    assert cloud.counts["details_by_id"] == MOST_REQUESTS
    assert all(isinstance(answer, WorkerError) for answer in answers)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_404_is_a_conversation_that_is_not_there_yet(dialect):
    cloud = GenesysCloud()
    for endpoint in ("details_by_id", "details_query"):
        cloud.fail_with(endpoint, 404)
    async with details_of(cloud, dialect) as details:
        assert await details.by_id(an_id(), NOON) is None


async def test_a_404_for_one_id_hides_no_other_of_its_batch():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(20)]

    async def unless_all_are_there(request):
        if ids[7] in request.query["id"]:
            return error_body(404)
        return await analytics._by_ids(cloud, request)

    cloud.fail_with("details_by_id", unless_all_are_there)
    async with details_of(cloud) as details:
        answers = await ask(details, ids)

    assert [place for place, answer in enumerate(answers) if answer is None] == [7]
    assert sum(isinstance(answer, dict) for answer in answers) == 19


async def test_closing_waits_for_no_lookup_that_is_not_awaited():
    cloud, asked = GenesysCloud(), asyncio.Event()

    async def never(request):
        asked.set()
        return await hang(request)

    async with details_of(cloud) as details:
        cloud.fail_with("details_by_id", never)
        lookup = asyncio.create_task(details.by_id(an_id(), NOON))
        await asked.wait()
        lookup.cancel()
        began = now()

        await details.aclose()

        assert now() - began < 1


async def test_what_is_no_id_is_refused_before_any_request():
    cloud = GenesysCloud()
    async with details_of(cloud) as details:
        with pytest.raises(Permanent):
            await details.by_id("a,b", NOON)

    assert cloud.counts["details_by_id"] == 0


async def test_a_failure_of_the_request_is_transient_for_all_of_the_batch():
    cloud = GenesysCloud()
    ids = [end(cloud) for _ in range(3)]
    cloud.fail_with("details_by_id", 503)
    async with details_of(cloud) as details:
        answers = await ask(details, ids)

    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert cloud.counts["details_by_id"] == 1


async def test_a_missing_permission_dead_letters_nothing():
    async def forbidden(_):
        return error_body(403, "missing.permissions")

    cloud = GenesysCloud()
    cloud.fail_with("details_by_id", forbidden)
    async with details_of(cloud) as details:
        with pytest.raises(Misconfigured):
            await details.by_id(an_id(), NOON)

    assert cloud.counts["details_by_id"] == 1


async def test_lookups_gather_while_a_request_waits_for_the_budget():
    cloud = GenesysCloud()
    async with details_of(cloud, per_minute=6) as details:
        await details.by_id(end(cloud), NOON)  # the only request of the first ten seconds
        tasks = []
        for _ in range(60):
            tasks.append(asyncio.create_task(details.by_id(end(cloud), NOON)))
            await asyncio.sleep(0.1)
        answers = await asyncio.gather(*tasks)

    assert all(answers)
    assert cloud.counts["details_by_id"] <= 4


async def test_a_wait_longer_than_the_deadline_is_released():
    cloud = GenesysCloud()
    cloud.fail_with("details_by_id", 429, retry_after=120)
    async with details_of(cloud) as details:
        with pytest.raises(RateLimited) as caught:
            await details.by_id(end(cloud), NOON)

    assert caught.value.retry_after == 120


async def test_a_trickle_uses_half_of_the_budget_at_most():
    cloud = GenesysCloud()
    async with details_of(cloud, batching=Batching.within(300), per_minute=300) as details:
        tasks = []
        for _ in range(2000):  # 33 a second: one or two in each window of 50 ms
            tasks.append(asyncio.create_task(details.by_id(end(cloud), NOON)))
            await asyncio.sleep(0.03)
        answers = await asyncio.gather(*tasks)

    assert all(answers)
    assert cloud.counts["details_by_id"] <= 151


async def test_a_lone_lookup_waits_for_its_window_only():
    cloud = GenesysCloud()
    async with details_of(cloud, batching=Batching.within(300)) as details:
        began = now()
        await details.by_id(end(cloud), NOON)

    assert now() - began < 0.2


async def test_a_tiny_budget_makes_no_endless_gap():
    assert Batching.within(1).gap_seconds == LONGEST_GAP_SECONDS


async def test_a_cancelled_lookup_leaves_the_others_their_answers():
    cloud = GenesysCloud(latency_seconds=1)
    ids = [end(cloud) for _ in range(3)]
    async with details_of(cloud) as details:
        first, *others = [asyncio.create_task(details.by_id(one, NOON)) for one in ids]
        await asyncio.sleep(0.5)
        first.cancel()

        assert [answer["conversationId"] for answer in await asyncio.gather(*others)] == ids[1:]


async def test_the_reference_query_is_that_of_r1():
    wanted = Wanted(an_id(), NOON)
    request = ReferenceDetails().details([wanted]).request

    assert orjson.loads(orjson.dumps(request.json)) == {
        "dateFrom": "2026-02-24T12:00:00.000Z",
        "dateTo": "2026-03-03T12:00:00.000Z",
        "groupBy": ["conversationId"],
        "filter": [{"type": "conversationId", "value": wanted.conversation_id}],
        "size": 100,
    }


async def test_the_token_of_a_page_is_in_the_url_of_r1():
    request = ReferenceDetails().details([Wanted(an_id(), NOON)], "a b&c").request

    assert request.path == f"{request.template}?pageToken=a+b%26c"


async def test_pages_without_entities_are_passed_over():
    cloud = GenesysCloud(empty_pages=2)
    ended = end(cloud)
    async with details_of(cloud, ReferenceDetails()) as details:
        assert await details.by_id(ended, NOON) == cloud.ended[ended].record

    assert cloud.counts["details_query"] == 3


async def test_pages_without_an_end_are_unavailable():
    cloud = GenesysCloud(empty_pages=10_000)
    async with details_of(cloud, ReferenceDetails()) as details:
        with pytest.raises(Unavailable, match="without an end"):
            await details.by_id(end(cloud), NOON)

    assert cloud.counts["details_query"] == MOST_PAGES


async def test_an_entity_of_another_conversation_is_not_taken():
    cloud = GenesysCloud()
    ended = end(cloud)
    cloud.ended[ended].record = {**cloud.ended[ended].record, "conversationId": an_id()}
    async with details_of(cloud, ReferenceDetails()) as details:
        assert await details.by_id(ended, NOON) is None


@pytest.mark.parametrize("body", [{"conversations": {}}, []])
async def test_an_answer_that_is_no_list_is_unavailable(body):
    async def odd(_):
        from aiohttp import web

        return web.json_response(body)

    cloud = GenesysCloud()
    async with api_of(cloud) as api:
        cloud.fail_with("details_by_id", odd)
        with pytest.raises(Unavailable):
            await api.run(PlatformDetails().details([Wanted(an_id(), NOON)]))
