"""Names by id: batched, remembered, and left out where they cannot be had."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from tests.support.factories import an_id
from tests.support.genesys import api_of
from worker.clients.genesys.integrations import organization_id
from worker.clients.genesys.names import BATCH, LISTS, LONGEST, Names, readable
from worker.emulators.genesys import GenesysCloud
from worker.emulators.genesys.replies import missing_permission
from worker.errors import Misconfigured, Rejected, Unavailable
from worker.resilience import Cache, CachePolicy

POLICY = CachePolicy(
    max_entries=1_000, soft_ttl_seconds=300, hard_ttl_seconds=3600, negative_ttl_seconds=60
)
OF_DIMENSION = {
    "queueId": "queues",
    "userId": "users",
    "divisionId": "divisions",
    "wrapUpCode": "wrapup_codes",
}


@asynccontextmanager
async def names_of(cloud, *, policy=POLICY, **api):
    async with api_of(cloud, **api) as made:
        names = Names(made, Cache("names", policy, random=Random(1)))
        try:
            yield names
        finally:
            await names.aclose()


async def found(names, dimension, *ids):
    answer = {}
    await names.find(dimension, ids, answer)
    return answer


@pytest.mark.parametrize("dimension", LISTS)
async def test_a_name_is_found_by_its_id(dimension):
    cloud, one = GenesysCloud(), an_id()
    getattr(cloud.names, OF_DIMENSION[dimension])[one] = "Billing"

    async with names_of(cloud) as names:
        assert await found(names, dimension, one) == {one: "Billing"}


async def test_two_hundred_ids_are_two_requests():
    cloud, ids = GenesysCloud(), [an_id() for _ in range(2 * BATCH)]
    cloud.names.queues = {one: f"queue {one}" for one in ids}

    async with names_of(cloud) as names:
        answer = await found(names, "queueId", *ids)

    assert answer == cloud.names.queues
    assert cloud.counts["queues"] == 2


async def test_what_was_found_is_not_asked_for_again_nor_what_has_no_name():
    cloud, known, unknown = GenesysCloud(), an_id(), an_id()
    cloud.names.users[known] = "Ann"

    async with names_of(cloud) as names:
        first = await found(names, "userId", known, unknown)
        second = await found(names, "userId", known, unknown)

    assert first == second == {known: "Ann"}
    assert cloud.counts["users"] == 1


async def test_no_more_is_remembered_than_the_cache_may_hold():
    cloud, ids = GenesysCloud(), [an_id() for _ in range(3)]
    cloud.names.queues = dict.fromkeys(ids, "Billing")
    policy = CachePolicy(1, 300, 3600, 60)

    async with names_of(cloud, policy=policy) as names:
        await found(names, "queueId", *ids)
        await found(names, "queueId", *ids)

    assert cloud.counts["queues"] == 2


async def test_an_agent_who_has_left_has_a_name():
    cloud, gone = GenesysCloud(), an_id()
    cloud.names.users[gone] = "Bob"
    cloud.names.inactive.add(gone)

    async with names_of(cloud) as names:
        assert await found(names, "userId", gone) == {gone: "Bob"}


async def test_an_id_in_capitals_has_its_name():
    cloud, one = GenesysCloud(), an_id()
    cloud.names.queues[one] = "Billing"

    async with names_of(cloud) as names:
        assert await found(names, "queueId", one.upper()) == {one.upper(): "Billing"}


async def test_what_is_no_id_is_not_asked_for():
    cloud = GenesysCloud()

    async with names_of(cloud) as names:
        answer = await found(names, "wrapUpCode", "ININ-WRAP-UP-TIMEOUT", "&state=x", "../me")

    assert answer == {}
    assert cloud.counts["wrapup_codes"] == 0


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (missing_permission("routing:queue:view"), Misconfigured),
        (404, Rejected),
        (500, Unavailable),
    ],
)
async def test_a_failure_is_raised_and_not_remembered(answer, failure):
    cloud, one = GenesysCloud(), an_id()
    cloud.names.queues[one] = "Billing"
    cloud.fail_with("queues", answer)

    async with names_of(cloud) as names:
        with pytest.raises(failure):
            await found(names, "queueId", one)
        cloud.heal("queues")

        assert await found(names, "queueId", one) == {one: "Billing"}


async def test_what_was_found_before_a_failure_stays():
    cloud, known, other = GenesysCloud(), an_id(), an_id()
    cloud.names.queues = {known: "Billing", other: "Sales"}
    answer = {}

    async with names_of(cloud) as names:
        await found(names, "queueId", known)
        cloud.fail_with("queues", 500)
        with pytest.raises(Unavailable):
            await names.find("queueId", [known, other], answer)

    assert answer == {known: "Billing"}


async def test_names_come_after_live_work_in_the_request_budget():
    cloud, one = GenesysCloud(), an_id()
    cloud.names.queues[one] = "Billing"

    async with api_of(cloud, per_minute=120) as api:
        guard, names = api._guards["platform"], Names(api, Cache("names", POLICY, random=Random(1)))
        while guard._limiter._bucket.acquire(asyncio.get_running_loop().time()):
            pass
        looked_up = asyncio.ensure_future(found(names, "queueId", one))
        await asyncio.wait([looked_up], timeout=0.1)
        live = asyncio.ensure_future(api.run(organization_id()))
        await asyncio.wait([looked_up, live])
        await names.aclose()

    order = [one.endpoint for one in cloud.arrivals if one.endpoint in {"queues", "organization"}]
    assert order == ["organization", "queues"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Billing", "Billing"),
        ("  two \r\n lines\t", "two lines"),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("gnp.\u202eexe", "gnp.exe"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("x" * 5_000, "x" * LONGEST),
        ("", None),
        ("\u202e", None),
        (7, None),
        (None, None),
    ],
)
def test_a_name_is_one_line_that_can_be_seen(name, shown):
    assert readable(name) == shown
