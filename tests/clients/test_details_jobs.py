"""Days that the data lake holds, read by asynchronous jobs."""

from datetime import timedelta

import pytest
from aiohttp import web

from tests.support.genesys import DAY, NOW, a_cloud, a_day, a_past, a_reader, pasts
from worker.errors import Unavailable

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


async def read(cloud, due=None):
    async with a_reader(cloud, jobs=True) as reader:
        return await reader.read(due or a_day())


async def test_an_old_day_is_read_by_a_job_in_pages_of_a_thousand():
    cloud = a_cloud(pasts(2_500))

    whole = await read(cloud)

    assert whole.total.count == 2_500
    assert cloud.counts["details_query"] == 0
    assert cloud.counts["details_job_results"] == 3


async def test_a_job_matches_by_activity_and_what_started_earlier_is_cut_off():
    whole = await read(a_cloud([a_past(-1, duration_ms=7_200_000), a_past(1)]))

    assert whole.total.count == 1


async def test_a_job_is_asked_for_its_state_until_it_is_done():
    cloud = a_cloud(pasts(1))

    await read(cloud)

    assert cloud.counts["details_job_state"] == 2


async def test_days_the_lake_does_not_hold_yet_are_queried():
    cloud = a_cloud([a_past(1), a_past(25)], available_until=DAY + timedelta(days=1))

    whole = await read(cloud, a_day(end=DAY + timedelta(days=2)))

    assert whole.total.count == 2
    assert cloud.counts["details_job"] == cloud.counts["details_query"] == 1


async def test_days_younger_than_two_days_are_queried():
    cloud = a_cloud([])
    yesterday = NOW.replace(hour=0) - timedelta(days=1)

    await read(cloud, a_day(start=yesterday, end=yesterday + timedelta(days=1)))

    assert cloud.counts["details_job"] == 0


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED", "SINGING", ["FULFILLED"]])
async def test_a_job_that_comes_to_nothing_is_unavailable(state):
    cloud = a_cloud(pasts(1))

    async def answer(_):
        return web.json_response({"state": state})

    cloud.fail_with("details_job_state", answer)

    with pytest.raises(Unavailable):
        await read(cloud)


async def test_a_job_that_never_ends_is_unavailable():
    cloud = a_cloud(pasts(1))

    async def answer(_):
        return web.json_response({"state": "PENDING"})

    cloud.fail_with("details_job_state", answer)

    with pytest.raises(Unavailable, match="too long"):
        await read(cloud)


@pytest.mark.parametrize(
    "endpoint", ["details_job", "details_job_state", "details_job_results", "details_availability"]
)
async def test_a_429_is_waited_out_and_the_report_goes_on(endpoint):
    cloud = a_cloud(pasts(1_500))
    cloud.fail_with(endpoint, 429, times=1, retry_after=90)

    whole = await read(cloud)

    assert whole.total.count == 1_500


async def test_a_job_whose_cursor_leads_nowhere_is_unavailable():
    cloud = a_cloud(pasts(1))

    async def answer(_):
        return web.json_response({"conversations": [], "cursor": "again"})

    cloud.fail_with("details_job_results", answer)

    with pytest.raises(Unavailable, match="same page"):
        await read(cloud)


@pytest.mark.parametrize("job", ["../x", "", 7])
async def test_a_job_under_an_id_that_fits_no_path_is_unavailable(job):
    cloud = a_cloud(pasts(1))

    async def answer(_):
        return web.json_response({"jobId": job}, status=202)

    cloud.fail_with("details_job", answer)

    with pytest.raises(Unavailable):
        await read(cloud)
    assert cloud.counts["details_job_state"] == 0
