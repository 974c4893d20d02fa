"""Reading an interval of conversations from the emulated analytics, whole and once."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web

from tests.support.genesys import (
    DAY,
    HOUR_MS,
    OTHER_QUEUE,
    QUEUE,
    a_cloud,
    a_day,
    a_past,
    a_reader,
    pasts,
)
from worker.clients.genesys import details_query
from worker.clients.genesys.details_query import PlatformPages, ReferencePages
from worker.clients.genesys.filters import Condition
from worker.emulators.genesys.cloud import Exceeded
from worker.emulators.genesys.history import DIVISION
from worker.emulators.genesys.replies import over_budget
from worker.errors import Permanent, RateLimited, Rejected, Unavailable
from worker.jobs.reports.reader import Progress
from worker.resilience.breaker import BreakerPolicy

ANN = "05000000-0000-4000-8000-00000000000a"
BOB = "05000000-0000-4000-8000-00000000000b"

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

DIALECTS = [PlatformPages(), ReferencePages()]
HOUR = timedelta(hours=1)


async def read(cloud, due=None, dialect=None, **over):
    async with a_reader(cloud, dialect, **over) as reader:
        return await reader.read(due or a_day())


def only_days_are_too_large(start_ms, end_ms):
    return end_ms - start_ms > HOUR_MS


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 450])
async def test_every_conversation_is_counted_once(dialect, number):
    whole = await read(a_cloud(pasts(number)), dialect=dialect)

    assert whole.total.count == number
    assert whole.tally.unsettled == 0


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_month_is_read_day_by_day_and_adds_up(dialect):
    month = [a_past(24 * day + hour) for day in range(30) for hour in (0, 11, 23.9)]
    due = a_day(end=DAY + timedelta(days=30))

    whole = await read(a_cloud(month), due, dialect)

    assert whole.total.count == 90
    assert whole.total.duration_ms == 90 * 60_000


async def test_what_started_outside_the_interval_is_cut_off():
    long = 3 * HOUR_MS
    started = [a_past(8.9, duration_ms=long), a_past(9), a_past(9.99, duration_ms=long), a_past(10)]
    due = a_day(start=DAY + 9 * HOUR, end=DAY + 10 * HOUR)

    whole = await read(a_cloud(started), due)

    assert whole.total.count == 2


async def test_live_conversations_are_counted_apart():
    whole = await read(a_cloud([a_past(1), a_past(2, duration_ms=None)]))

    assert (whole.total.count, whole.tally.live) == (1, 1)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_filters_reach_the_platform(dialect):
    mixed = [
        a_past(1),
        a_past(2, queue_id=OTHER_QUEUE),
        a_past(3, media_type="message"),
        a_past(4, direction="outbound"),
    ]
    filters = (Condition("originatingDirection", ("inbound",)),)
    due = a_day(media_type="voice", queue_ids=(QUEUE,), filters=filters)

    whole = await read(a_cloud(mixed), due, dialect)

    assert whole.total.count == 1


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        (Condition("tTalk", ("30000",), "gt"), 2),
        (Condition("tTalk", ("30000",), "lt"), 1),
        (Condition("divisionId", (DIVISION,), "eq"), 3),
        (Condition("userId", (ANN, BOB), "in"), 2),
        (Condition("conversationInitiator", ("customer",)), 0),
    ],
)
@pytest.mark.parametrize("jobs", [False, True], ids=["query", "jobs"])
async def test_each_condition_is_asked_for_where_the_platform_has_it(condition, count, jobs):
    past = [a_past(1, talk_ms=20_000), a_past(2, user_id=ANN), a_past(3, user_id=BOB)]

    whole = await read(a_cloud(past), a_day(filters=(condition,)), jobs=jobs)

    assert whole.total.count == count


async def test_a_condition_that_cannot_be_asked_for_makes_no_call():
    cloud = a_cloud([a_past(1)])
    with pytest.raises(Permanent):
        await read(cloud, a_day(filters=(Condition("ani", ("5",), "contains"),)))

    assert cloud.counts["details_query"] == 0


@pytest.mark.parametrize("name", ["userId", "divisionId", "direction"])
async def test_a_dimension_that_the_reference_does_not_have_is_refused_before_any_call(name):
    """A report would else be one group without a value, and look like an answer."""
    cloud = a_cloud([a_past(1)])

    with pytest.raises(Permanent, match="groupBy"):
        await read(cloud, a_day(group_by=("mediaType", name)), ReferencePages())

    assert cloud.counts["details_query"] == 0
    assert (await read(cloud, a_day(group_by=("mediaType", name)))).total.count == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_filters_may_be_written_as_events_write_them(dialect):
    """Events have VOICE and INBOUND, analytics voice and inbound (GENESYS sheet 9.1)."""
    filters = (Condition("mediaType", ("VOICE",)), Condition("originatingDirection", ("Inbound",)))

    whole = await read(a_cloud([a_past(1)]), a_day(filters=filters), dialect)

    assert whole.total.count == 1


async def test_pages_of_a_single_day_are_asked_for_side_by_side():
    cloud = a_cloud(pasts(900))
    cloud.latency_seconds = 1
    loop = asyncio.get_running_loop()
    began = loop.time()

    await read(cloud, concurrency=4)

    # The token, the first page, and eight pages four at a time.
    assert loop.time() - began == pytest.approx(4, abs=0.5)


async def test_days_are_read_side_by_side_within_the_bound():
    cloud = a_cloud([a_past(24 * day) for day in range(8)])
    cloud.latency_seconds = 1
    loop = asyncio.get_running_loop()
    began = loop.time()

    await read(cloud, a_day(end=DAY + timedelta(days=8)), concurrency=4)

    assert loop.time() - began == pytest.approx(3, abs=0.5)


async def test_pages_keep_within_the_request_budget():
    loop = asyncio.get_running_loop()
    began = loop.time()

    await read(a_cloud(pasts(6_000)), per_minute=60)

    # Sixty pages: five are the burst, the others a second apart.
    assert loop.time() - began == pytest.approx(55, abs=2)


async def test_a_429_is_waited_out_and_the_report_goes_on():
    cloud = a_cloud(pasts(300))
    loop = asyncio.get_running_loop()
    seen = []

    async def refuse(_):
        seen.append(loop.time())
        return over_budget(Exceeded("token.rate.per.minute", 300, 90))

    cloud.fail_with("details_query", refuse, times=1)

    whole = await read(cloud)

    assert whole.total.count == 300
    assert loop.time() - seen[0] >= 90


async def test_a_budget_that_stays_exhausted_for_long_is_left_to_a_later_retry():
    cloud = a_cloud(pasts(3))
    cloud.fail_with("details_query", 429, retry_after=3600)

    with pytest.raises(RateLimited) as caught:
        await read(cloud)

    assert caught.value.retry_after == pytest.approx(900, abs=10)


@pytest.mark.parametrize("status", [500, 504])
@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_slice_that_fails_three_times_is_read_by_the_hour(status, attempts):
    cloud = a_cloud(pasts(300))
    cloud.fail_with("details_query", status, times=3)

    whole = await read(cloud, attempts=attempts)

    assert whole.total.count == 300
    # Three failures, 24 hours: each of them fits on a page.
    assert cloud.counts["details_query"] == 27


async def test_a_day_that_is_too_large_is_complete_when_its_hours_are_not():
    cloud = a_cloud(pasts(300), is_too_large=only_days_are_too_large)

    whole = await read(cloud)

    assert whole.total.count == 300


async def test_two_failures_do_not_make_a_slice_smaller():
    cloud = a_cloud(pasts(50))
    cloud.fail_with("details_query", 500, times=2)

    await read(cloud)

    assert cloud.counts["details_query"] == 3


async def test_an_hour_that_is_too_large_as_well_is_unavailable():
    cloud = a_cloud(pasts(50), is_too_large=lambda _start, _end: True)

    with pytest.raises(Unavailable):
        await read(cloud)


async def test_a_day_of_more_than_may_be_paged_is_read_by_the_hour():
    cloud = a_cloud(pasts(2_000), most_results=500)

    whole = await read(cloud)

    assert whole.total.count == 2_000


async def test_more_hits_than_may_be_paged_split_a_day_before_its_second_page(monkeypatch):
    monkeypatch.setattr(details_query, "MOST_RESULTS", 500)
    cloud = a_cloud(pasts(2_000))

    await read(cloud)

    # One page of the day, then 24 hours that fit on a page each.
    assert cloud.counts["details_query"] == 25


async def test_an_hour_of_more_than_may_be_paged_is_refused():
    cloud = a_cloud(pasts(2_000, hours=1), most_results=500)

    with pytest.raises(Rejected):
        await read(cloud)


@pytest.mark.parametrize("page", [1, 2, 5])
async def test_a_page_that_drops_a_conversation_is_read_again(page):
    spoiled = []

    def drop(number, conversations):
        if number == page and not spoiled:
            spoiled.append(number)
            return conversations[:3] + conversations[4:]
        return conversations

    whole = await read(a_cloud(pasts(500), spoil=drop))

    assert whole.total.count == 500
    assert whole.tally.unsettled == 0


async def test_a_page_that_repeats_a_conversation_changes_no_figure():
    def repeat(_, conversations):
        return [conversations[0], *conversations]

    whole = await read(a_cloud(pasts(500), spoil=repeat))

    assert (whole.total.count, whole.tally.repeated) == (500, 5)


@pytest.mark.parametrize("changes", ["one comes late", "one goes"])
async def test_pages_that_shift_while_they_are_read_are_read_again(changes):
    cloud = a_cloud(pasts(500))
    moved = []

    def shift(number, conversations):
        if number == 3 and not moved:
            moved.append(number)
            known = list(cloud.history.conversations)
            cloud.history.conversations = (
                [a_past(0), *known] if changes == "one comes late" else known[1:]
            )
        return conversations

    cloud.history.spoil = shift

    whole = await read(cloud, concurrency=1)

    assert whole.total.count == len(cloud.history.conversations)
    assert cloud.counts["details_query"] > 6
    assert whole.tally.unsettled == 0


async def test_what_begins_while_it_is_read_is_read_too_and_shifts_nothing():
    cloud = a_cloud(pasts(500, hours=20))
    added = []

    def grow(number, conversations):
        if number == 3 and not added:
            added.extend(pasts(150, hours=1))
            late = [a_past(23 + place / 1000) for place in range(150)]
            cloud.history.conversations = [*cloud.history.conversations, *late]
        return conversations

    cloud.history.spoil = grow

    whole = await read(cloud, concurrency=1)

    assert whole.total.count == 650
    assert cloud.counts["details_query"] == 7


async def test_a_slice_that_never_settles_is_counted_and_its_last_reading_stands():
    def drop(_, conversations):
        return conversations[1:]

    whole = await read(a_cloud(pasts(100), spoil=drop))

    assert (whole.total.count, whole.tally.unsettled) == (99, 1)


async def test_a_page_token_that_leads_nowhere_is_unavailable():
    async def answer(_):
        return web.json_response({"results": [], "nextPageToken": "again"})

    cloud = a_cloud([])
    cloud.fail_with("details_query", answer)

    with pytest.raises(Unavailable, match="same page"):
        await read(cloud, dialect=ReferencePages())


async def test_groups_are_those_that_were_asked_for():
    mixed = [a_past(1), a_past(2, queue_id=OTHER_QUEUE), a_past(3)]

    whole = await read(a_cloud(mixed), a_day(group_by=("queueId",)))

    assert {key: totals.count for key, totals in whole.groups.items()} == {
        (QUEUE,): 2,
        (OTHER_QUEUE,): 1,
    }


async def test_a_dimension_that_is_none_costs_no_request():
    cloud = a_cloud([])

    with pytest.raises(Permanent):
        await read(cloud, a_day(group_by=("colour",)))

    assert cloud.counts["details_query"] == 0


async def test_one_slice_that_fails_for_good_ends_the_others():
    cloud = a_cloud([a_past(24 * day) for day in range(8)])
    cloud.fail_with("details_query", 400, times=1)

    with pytest.raises(Rejected):
        await read(cloud, a_day(end=DAY + timedelta(days=8)))

    assert len(asyncio.all_tasks()) == 1


async def test_progress_reports_slices_pages_and_conversations():
    progress = Progress()

    async with a_reader(a_cloud(pasts(250))) as reader:
        await reader.read(a_day(end=DAY + timedelta(days=2)), progress)

    assert progress == Progress(slices=2, slices_done=2, pages=4, conversations=250)


async def test_an_open_breaker_is_waited_for_and_the_report_goes_on():
    cloud = a_cloud(pasts(300))
    cloud.fail_with("details_query", 503, times=3)
    policy = BreakerPolicy(min_calls=3, open_seconds=20)
    loop = asyncio.get_running_loop()
    began = loop.time()

    whole = await read(cloud, breaker=policy)

    assert whole.total.count == 300
    assert loop.time() - began > 15
