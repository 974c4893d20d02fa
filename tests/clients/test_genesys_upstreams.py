"""Genesys apart: what one part of it, or a system behind it, does wrong is not felt by another."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.support.factories import NOON, an_id
from tests.support.genesys import DAY, a_day, end, pasts
from tests.support.verbs import Verbs
from worker.app.upstreams import LOGIN, Upstreams
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Batching, ConversationDetails, PlatformDetails
from worker.clients.genesys.details_query import PlatformPages as Pages
from worker.clients.genesys.dialects import Platform
from worker.clients.genesys.participants import (
    Attributes,
    Participant,
    PlatformAttributes,
    flow_cache,
)
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysCloud, GenesysServer, analytics
from worker.emulators.genesys.history import History
from worker.emulators.genesys.integrations import a_list, remote_credentials_expired, remote_failure
from worker.emulators.genesys.replies import html_200, missing_permission
from worker.errors import (
    BreakerOpen,
    Misconfigured,
    NotYet,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.jobs.reports.reader import DetailsReader
from worker.resilience.cache import Cache
from worker.resilience.limiter import Limiter
from worker.resilience.work import Work, begin
from worker.settings import Breaker
from worker.settings import Genesys as GenesysSettings

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

INPUTS = {"phone_number": "+15550100001"}
GOLD = {"tier": "gold"}


def now():
    return asyncio.get_running_loop().time()


class Bench(NamedTuple):
    cloud: GenesysCloud
    upstreams: Upstreams
    limiter: Limiter
    tokens: Tokens
    api: Api
    genesys: Verbs
    details: ConversationDetails
    attributes: Attributes

    async def look_up(self):
        return await self.genesys.execute_data_action("a", INPUTS)

    def states(self):
        names = sorted(self.upstreams.names())
        return {name: self.upstreams.state(name) for name in names}


@asynccontextmanager
async def a_bench(cloud=None, not_found="unknown", breaker=None, **settings: Any):
    """The client as the daemon builds it, on an emulated Genesys Cloud."""
    cloud = cloud or GenesysCloud(customers={INPUTS["phone_number"]: GOLD})
    upstreams = Upstreams(breaker or Breaker(), Random(1))
    genesys_settings = GenesysSettings(requests_per_minute=60_000, **settings)
    async with (
        GenesysServer(cloud),
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=10)) as http,
    ):
        dialect = Platform(not_found=not_found)
        request = dialect.token(cloud.client_id, cloud.client_secret)
        tokens = Tokens(http, request, guard=upstreams.login(genesys_settings))
        upstreams.report_problem_of(LOGIN, lambda: tokens.refusal, tokens)
        limiter = upstreams.limiter(genesys_settings)
        api = Api(http, tokens, upstreams.genesys(genesys_settings, limiter), limiter)
        details = ConversationDetails(api, PlatformDetails(), Batching())
        flows = Cache("flows", flow_cache(16), random=Random(1))
        attributes = Attributes(api, PlatformAttributes(), flows)
        genesys = Verbs(api, dialect)
        try:
            yield Bench(cloud, upstreams, limiter, tokens, api, genesys, details, attributes)
        finally:
            await details.aclose()
            await tokens.aclose()


def message(call, **over):
    """Make a call for a message of its own; return its task."""

    async def working():
        begin(Work(**{"message_id": an_id(), "job": "voice"} | over))
        return await call()

    return asyncio.create_task(working())


# ── the system behind a data action ────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "answer",
    [
        remote_failure(500),
        remote_failure(401),
        remote_failure(403),
        remote_failure(429, retry_after="600"),
        remote_credentials_expired,
    ],
)
async def test_its_failures_touch_neither_token_nor_budget_nor_any_other_upstream(answer):
    async with a_bench() as bench:
        await bench.look_up()
        bench.cloud.fail_with("data_action", answer)

        ended = await asyncio.gather(
            *(message(bench.look_up) for _ in range(20)), return_exceptions=True
        )

        assert {type(end) for end in ended} <= {Unavailable, BreakerOpen}
        states = bench.states()
        assert states.pop("data_action") == "open"
        assert set(states.values()) == {"closed"}
        assert bench.cloud.counts["token"] == 1
        assert bench.tokens.problem is None
        assert bench.limiter.asked_pause() is None
        ended_id = end(bench.cloud)
        assert await bench.details.by_id(ended_id, NOON) is not None


async def test_its_expired_credentials_are_reported_loudly_once_a_minute_and_not_as_ours():
    async with a_bench() as bench:
        bench.cloud.fail_with("data_action", remote_credentials_expired)
        with capture_logs() as logs:
            for _ in range(60):
                with pytest.raises((Unavailable, BreakerOpen)):
                    await message(bench.look_up, probe=True)
                await asyncio.sleep(2)

    loud = [line for line in logs if line["log_level"] == "error"]
    assert 2 <= len(loud) <= 3
    assert {line["event"] for line in loud} == {"data_action_credentials_expired"}
    assert loud[0]["action_error"] == "ACTION.AUTHENTICATION"
    assert loud[0]["correlation_id"]
    assert not [line for line in logs if "token" in line["event"] and "issued" not in line["event"]]


async def test_its_404_is_no_such_customer():
    async with a_bench() as bench:
        bench.cloud.fail_with("data_action", remote_failure(404))

        assert await bench.look_up() is None


async def test_its_404_is_waited_for_where_that_is_set():
    async with a_bench(not_found="retry") as bench:
        bench.cloud.fail_with("data_action", remote_failure(404))

        with pytest.raises(NotYet):
            await bench.look_up()

        assert bench.states()["data_action"] == "closed"


async def test_a_plain_404_is_no_such_action_and_opens_no_breaker():
    async with a_bench(GenesysCloud(action_ids={"other"})) as bench:
        for _ in range(20):
            with pytest.raises(Misconfigured) as caught:
                await message(bench.look_up)

        assert caught.value.setting == "GENESYS_ACTION_ID"
        assert set(bench.states().values()) == {"closed"}


@pytest.mark.parametrize("answer", [a_list, html_200])
async def test_an_answer_that_cannot_be_read_opens_no_breaker(answer):
    async with a_bench() as bench:
        bench.cloud.fail_with("data_action", answer)
        for _ in range(20):
            with pytest.raises(Unreadable):
                await message(bench.look_up)

        assert set(bench.states().values()) == {"closed"}


async def test_one_message_whose_look_up_always_fails_holds_up_no_other():
    async with a_bench() as bench:

        async def unless_healthy(request):
            if (await request.json())["phone_number"] == "+15550100666":
                return web.json_response({}, status=500)
            return web.json_response(GOLD)

        async def bad():
            return await bench.genesys.execute_data_action("a", {"phone_number": "+15550100666"})

        bench.cloud.fail_with("data_action", unless_healthy)
        for _ in range(30):
            with pytest.raises(Unavailable):
                await message(bad, message_id="bad")

        healthy = await asyncio.gather(*(message(bench.look_up) for _ in range(39)))

        assert healthy == [GOLD] * 39


# ── permissions ────────────────────────────────────────────────────────────────────────────────
async def test_a_missing_permission_names_call_and_permission_wherever_it_is_met():
    async with a_bench() as bench:
        needed = "conversation:participant:attributes"
        for endpoint in ("attributes", "details_by_id", "flow", "data_action"):
            bench.cloud.fail_with(endpoint, missing_permission(needed))
        met = []
        for call in (
            bench.look_up(),
            bench.details.by_id(an_id(), NOON),
            bench.attributes.flow_inputs(an_id()),
            bench.attributes.set_attributes(an_id(), Participant(an_id()), {"a": "b"}),
        ):
            with pytest.raises(Misconfigured) as caught:
                await call
            met.append(caught.value)

    assert {type(error) for error in met} == {Misconfigured}
    assert all(needed in error.reason and needed in error.remedy for error in met)
    assert "PATCH /api/v2/conversations/{conversationId}/participants" in met[-1].reason


async def test_an_unknown_flow_names_its_setting():
    async with a_bench() as bench:
        with pytest.raises(Misconfigured) as caught:
            await bench.attributes.flow_inputs(an_id())

    assert caught.value.setting == "GENESYS_FLOW_ID"


# ── the login ──────────────────────────────────────────────────────────────────────────────────
async def test_there_is_no_token_before_the_first_one_came():
    async with a_bench() as bench:
        assert bench.tokens.problem == "genesys: no token yet"
        assert bench.upstreams.problem(LOGIN) is None

        await bench.look_up()

        assert bench.tokens.problem is None


async def test_a_login_that_is_down_opens_its_own_breaker_and_no_other():
    async with a_bench() as bench:
        bench.cloud.fail_with("token", 503)
        while bench.upstreams.state(LOGIN) == "closed":
            with pytest.raises((Unavailable, BreakerOpen)) as caught:
                await message(bench.look_up)
            await asyncio.sleep(0.2)

        assert caught.value.upstream == LOGIN
        states = bench.states()
        assert states.pop(LOGIN) == "open"
        assert set(states.values()) == {"closed"}


async def test_a_login_that_is_back_needs_no_message_that_was_chosen_to_probe():
    async with a_bench() as bench:
        bench.cloud.fail_with("token", 503)
        while bench.upstreams.state(LOGIN) == "closed":
            with pytest.raises((Unavailable, BreakerOpen)):
                await message(bench.look_up)
            await asyncio.sleep(0.2)
        bench.cloud.heal("token")
        await asyncio.sleep(6)

        assert await message(bench.look_up) == GOLD


async def test_refused_credentials_are_a_problem_of_the_login_until_they_are_accepted():
    async with a_bench(GenesysCloud(reject_client=True)) as bench:
        with pytest.raises(Misconfigured):
            await message(bench.look_up)
        problem = bench.upstreams.problem(LOGIN)
        bench.cloud.reject_client = False
        await asyncio.sleep(31)
        await message(bench.look_up)

        assert problem.setting == "GENESYS_CLIENT_SECRET"
        assert bench.upstreams.problem(LOGIN) is None


async def test_a_message_that_waits_for_a_token_others_asked_for_says_so():
    async with a_bench(GenesysCloud(latency_seconds=5)) as bench:
        works = [Work(an_id(), "voice", ends_by=now() + 60) for _ in range(2)]

        async def working(work):
            begin(work)
            await bench.genesys.caller(an_id())

        tasks = [asyncio.create_task(working(work)) for work in works]
        await asyncio.sleep(2)
        reported = [work.waiting_for for work in works]
        await asyncio.gather(*tasks)

    assert reported == ["token", "token"]
    assert [work.ends_by for work in works] == pytest.approx([65, 65], abs=0.5)


# ── what is too much, and what cannot be read ──────────────────────────────────────────────────
@pytest.mark.parametrize("by", ["a message", "a command"])
@pytest.mark.parametrize("status", [500, 504])
async def test_day_slices_that_are_too_large_open_no_breaker_and_the_report_goes_on_by_the_hour(
    status, by
):
    def is_too_large(start_ms, end_ms):
        return end_ms - start_ms > 3_600_000

    history = History(pasts(300), is_too_large=is_too_large, too_large_status=status)
    async with a_bench(GenesysCloud(history=history)) as bench:
        reader = DetailsReader(bench.api, Pages(), 4, lambda: NOON)

        async def report():
            return await reader.read(a_day(end=DAY + timedelta(days=7)))

        # Of the command line's, which is for no message, each call counts.
        with capture_logs() as logs:
            whole = await (message(report, job="reports") if by == "a message" else report())

        assert whole.total.count == 300
        assert "breaker_opened" not in {line["event"] for line in logs}
        assert set(bench.states().values()) == {"closed"}
        assert bench.cloud.counts["details_query"] <= 7 * (3 + 24) + 10


async def test_a_report_under_way_goes_on_by_itself_once_analytics_is_back():
    async with a_bench(GenesysCloud(history=History(pasts(300)))) as bench:
        bench.cloud.fail_with("details_by_id", 503)
        while bench.upstreams.state("analytics") == "closed":
            with pytest.raises((Unavailable, BreakerOpen)):
                await message(lambda: bench.details.by_id(an_id(), NOON))
        reader, began = DetailsReader(bench.api, Pages(), 4, lambda: NOON), now()

        async def report():
            return await reader.read(a_day())

        whole = await message(report, job="reports")

        assert whole.total.count == 300
        assert now() - began < 30


async def test_one_record_that_cannot_be_read_fails_its_own_message_of_a_batch_only():
    async with a_bench(GenesysCloud()) as bench:
        ids = [end(bench.cloud) for _ in range(20)]

        async def unless_readable(request):
            if ids[13] in request.query["id"]:
                return web.Response(text="<html>", content_type="text/html")
            return await analytics._by_ids(bench.cloud, request)

        bench.cloud.fail_with("details_by_id", unless_readable)

        async def of(one):
            return await bench.details.by_id(one, NOON)

        ended = await asyncio.gather(
            *(message(lambda one=one: of(one)) for one in ids), return_exceptions=True
        )

        assert [type(end) for end in ended].index(Unreadable) == 13
        assert sum(isinstance(end, dict) for end in ended) == 19
        assert bench.states()["analytics"] == "closed"


async def test_those_that_always_fail_hold_up_no_other_more_than_once():
    """Five were asked for first, and three of them alone: the rest of the batch was given up."""
    async with a_bench(GenesysCloud(), attempts=1, breaker=Breaker(enabled=False)) as bench:
        bad = [an_id() for _ in range(5)]

        async def unless_bad(request):
            if {*bad} & {*request.query["id"].split(",")}:
                return web.Response(status=500)
            return await analytics._by_ids(bench.cloud, request)

        async def of(one):
            return await bench.details.by_id(one, NOON)

        bench.cloud.fail_with("details_by_id", unless_bad)
        answered = []
        for _ in range(5):
            ids = [*bad, end(bench.cloud)]
            ended = await asyncio.gather(
                *(message(lambda one=one: of(one)) for one in ids), return_exceptions=True
            )
            assert all(isinstance(one, WorkerError) for one in ended[:5])
            answered.append(isinstance(ended[5], dict))

        assert answered == [False, True, True, True, True]


async def test_analytics_that_fails_for_all_opens_its_breaker_soon_though_batches_are_halved():
    async with a_bench(GenesysCloud()) as bench:
        bench.cloud.fail_with("details_by_id", 500)

        async def of(one):
            return await bench.details.by_id(one, NOON)

        for _ in range(3):
            ended = await asyncio.gather(
                *(message(lambda one=one: of(one)) for one in [an_id() for _ in range(100)]),
                return_exceptions=True,
            )
            assert all(isinstance(end, WorkerError) for end in ended)

        assert bench.states()["analytics"] == "open"
        assert bench.cloud.counts["details_by_id"] <= 60


async def test_a_batch_of_which_nothing_is_answered_is_given_up_soon():
    async with a_bench(GenesysCloud(), attempts=1) as bench:
        bench.cloud.fail_with("details_by_id", 500)

        async def of(one):
            return await bench.details.by_id(one, NOON)

        await asyncio.gather(*(of(an_id()) for _ in range(100)), return_exceptions=True)

        assert bench.cloud.counts["details_by_id"] <= 10


async def test_a_failed_batch_is_a_failure_of_each_message_in_it():
    async with a_bench(GenesysCloud()) as bench:
        bench.cloud.fail_with("details_by_id", 503)

        async def of(one):
            return await bench.details.by_id(one, NOON)

        # Few calls, three attempts each, and three messages in each of them.
        for _ in range(4):
            await asyncio.gather(
                *(message(lambda: of(an_id())) for _ in range(3)), return_exceptions=True
            )

        assert bench.states()["analytics"] == "open"
