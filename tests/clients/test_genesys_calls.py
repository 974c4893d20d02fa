"""The verbs against the emulated Genesys Cloud, through guard, budget and token."""

import asyncio
import logging
import traceback
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import pytest
import structlog
from aiohttp import web

from tests.support.factories import OneForAll
from tests.support.verbs import Verbs
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.conversations import Caller
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.cloud import ActionRuns
from worker.emulators.genesys.integrations import crm_lookup_failed
from worker.emulators.genesys.replies import error_body, hang, html_200, html_502, reset_mid_body
from worker.errors import (
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    Unauthorized,
    Unavailable,
    WorkerError,
)
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.limiter import Limiter
from worker.resilience.retry import RetryPolicy
from worker.resilience.work import Work, working_for

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

PHONE = "+15550100001"
INPUTS = {"phone_number": PHONE}
GOLD = {"tier": "gold", "ltv": 12500.0}
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"
DIALECTS = [Platform(), Reference("r0")]


def a_cloud(**over):
    return GenesysCloud(**{"customers": {PHONE: GOLD}} | over)


def a_guard(attempts, deadline, limiter):
    clock = asyncio.get_running_loop().time
    retries = RetryPolicy(attempts=attempts, base_seconds=0.2, cap_seconds=5)
    breaker = Breaker("genesys", BreakerPolicy(enabled=False), clock=clock, random=Random(1))
    return Guard(GuardPolicy(retries, deadline), breaker=breaker, random=Random(1), limiter=limiter)


@asynccontextmanager
async def genesys_of(cloud, dialect=None, *, attempts=1, deadline=25, per_minute=60_000, **actions):
    dialect = dialect or Platform()
    limiter = Limiter("genesys", per_minute=per_minute)
    async with (
        GenesysServer(cloud),
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=10)) as http,
    ):
        tokens = Tokens(http, dialect.token(cloud.client_id, cloud.client_secret))
        api = Api(http, tokens, OneForAll(a_guard(attempts, deadline, limiter)), limiter)
        try:
            yield Verbs(api, dialect, **actions)
        finally:
            await tokens.aclose()


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_data_action_returns_its_output(dialect):
    async with genesys_of(a_cloud(), dialect) as genesys:
        assert await genesys.execute_data_action("custom_-_1", INPUTS) == GOLD


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unknown_customer_is_none(dialect):
    async with genesys_of(a_cloud(customers={}), dialect) as genesys:
        assert await genesys.execute_data_action("custom_-_1", INPUTS) is None


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unknown_data_action_is_a_problem_of_the_setting(dialect):
    async with genesys_of(a_cloud(action_ids={"other"}), dialect) as genesys:
        with pytest.raises(Misconfigured) as caught:
            await genesys.execute_data_action("custom_-_1", INPUTS)

    assert caught.value.setting == "GENESYS_ACTION_ID"
    assert "/execute)" in caught.value.reason


async def test_no_more_data_actions_run_at_once_than_the_organization_allows():
    cloud = a_cloud(action_runs=ActionRuns(limit=5, seconds=0.05))
    async with genesys_of(cloud, concurrency=5) as genesys:
        outputs = await asyncio.gather(
            *(genesys.execute_data_action("custom_-_1", INPUTS) for _ in range(40))
        )

    assert (outputs, cloud.action_runs.most) == ([GOLD] * 40, 5)


async def test_the_place_of_a_data_action_is_free_however_it_ends():
    cloud = a_cloud(action_runs=ActionRuns(limit=1))
    async with genesys_of(cloud, concurrency=1) as genesys:
        cloud.fail_with("data_action", 503, times=1)
        with pytest.raises(Unavailable):
            await genesys.execute_data_action("custom_-_1", INPUTS)
        cloud.fail_with("data_action", hang, times=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(genesys.execute_data_action("custom_-_1", INPUTS), 0.1)

        assert await genesys.execute_data_action("custom_-_1", INPUTS) == GOLD


async def test_no_deadline_runs_while_a_data_action_is_waited_for():
    cloud = a_cloud(action_runs=ActionRuns(seconds=0.2))
    work = Work("message", "voice")
    async with genesys_of(cloud, concurrency=1) as genesys:
        first = asyncio.create_task(genesys.execute_data_action("a", INPUTS))
        with working_for([work]):
            second = asyncio.create_task(genesys.execute_data_action("a", INPUTS))
        while not work.waiting_for:  # noqa: ASYNC110  nothing rings when a wait begins
            await asyncio.sleep(0)
        waits = work.waiting_for
        await asyncio.gather(first, second)

    assert (waits, work.waiting_for) == ("data actions", "")


async def test_a_limit_of_data_actions_pauses_no_other_call():
    """Flows run data actions, too: the request budget is not what was used up."""
    cloud = a_cloud(action_runs=ActionRuns(limit=0))
    async with genesys_of(cloud) as genesys:
        with pytest.raises(NotYet, match=r"actions\.concurrent\.executions\.max") as caught:
            await genesys.execute_data_action("custom_-_1", INPUTS)
        began = now()
        await genesys.caller(CONVERSATION)

    assert caught.value.retry_after == 3
    assert now() - began < 1


async def test_an_odd_data_action_id_arrives_as_it_is():
    odd = "custom_-_a b;c=ä+&"
    async with genesys_of(a_cloud(action_ids={odd})) as genesys:
        assert await genesys.execute_data_action(odd, INPUTS) == GOLD


async def test_a_failed_crm_lookup_of_the_reference_is_unavailable():
    cloud = a_cloud()
    cloud.fail_with("data_action", crm_lookup_failed)
    async with genesys_of(cloud, Reference("r0")) as genesys:
        with pytest.raises(Unavailable):
            await genesys.execute_data_action("a", INPUTS)


async def test_the_customers_address_comes_from_the_live_conversation():
    live = {
        "id": CONVERSATION,
        "participants": [{"purpose": "customer", "address": f"tel:{PHONE}"}],
    }
    async with genesys_of(a_cloud(conversations={CONVERSATION: live})) as genesys:
        assert (await genesys.caller(CONVERSATION)).address == f"tel:{PHONE}"


async def test_no_address_is_known_of_a_conversation_that_is_not_there():
    async with genesys_of(a_cloud()) as genesys:
        assert (await genesys.caller(CONVERSATION)).address is None


@pytest.mark.parametrize(
    "id_", ["..", "../../oauth/clients", "a/b", "a?x", "a%2f..", "", "http://x"]
)
async def test_an_id_that_could_change_the_path_sends_nothing(id_):
    cloud = a_cloud()
    async with genesys_of(cloud) as genesys:
        with pytest.raises(Permanent):
            await genesys.caller(id_)
        if id_ != "http://x":
            with pytest.raises(Misconfigured):
                await genesys.execute_data_action(id_, INPUTS)

    assert cloud.counts.total() == 0


async def test_a_revoked_token_is_replaced_once_for_64_callers():
    cloud = a_cloud(latency_seconds=0.05)
    async with genesys_of(cloud) as genesys:
        await genesys.execute_data_action("a", INPUTS)
        cloud.revoke_tokens()

        outputs = await asyncio.gather(
            *(genesys.execute_data_action("a", INPUTS) for _ in range(64))
        )

    assert outputs == [GOLD] * 64
    assert cloud.counts["token"] == 2


async def test_a_call_that_must_not_be_repeated_still_survives_a_revoked_token():
    cloud = a_cloud()
    async with genesys_of(cloud, repeatable=False) as genesys:
        await genesys.execute_data_action("a", INPUTS)
        cloud.revoke_tokens()

        assert await genesys.execute_data_action("a", INPUTS) == GOLD


async def test_a_call_refused_twice_is_unauthorized_and_sent_no_third_time():
    cloud = a_cloud()
    cloud.fail_with("data_action", 401)
    async with genesys_of(cloud, attempts=3) as genesys:
        with pytest.raises(Unauthorized) as caught:
            await genesys.execute_data_action("a", INPUTS)

    assert caught.value.retry_after == 30
    assert cloud.counts["data_action"] == 2


async def test_401_forever_asks_for_at_most_one_token_in_thirty_seconds():
    cloud = a_cloud()
    async with genesys_of(cloud) as genesys:
        await genesys.execute_data_action("a", INPUTS)
        cloud.fail_with("data_action", 401)
        started = now()
        while now() < started + 299:
            calls = (genesys.execute_data_action("a", INPUTS) for _ in range(8))
            failures = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(failure, Unauthorized) for failure in failures)
            await asyncio.sleep(1)

    asked = [arrival.at for arrival in cloud.arrivals if arrival.endpoint == "token"]
    assert len(asked) == 1 + 10
    assert all(later - earlier >= 30 for earlier, later in pairwise(asked[1:]))


async def test_a_refused_fresh_token_stops_the_calls_too():
    cloud = a_cloud()
    cloud.fail_with("data_action", 401)
    async with genesys_of(cloud) as genesys:
        for _ in range(20):
            with pytest.raises(Unauthorized):
                await genesys.execute_data_action("a", INPUTS)

    assert cloud.counts["data_action"] == 2


async def test_no_request_follows_a_429_before_its_retry_after():
    cloud = a_cloud()
    async with genesys_of(cloud, attempts=3) as genesys:
        await genesys.execute_data_action("a", INPUTS)
        cloud.fail_with("data_action", 429, times=1, retry_after=7)
        outputs = await asyncio.gather(
            genesys.execute_data_action("a", INPUTS),
            later(0.5, genesys.execute_data_action("a", INPUTS)),
            later(3, genesys.caller(CONVERSATION)),
        )

    assert list(outputs) == [GOLD, GOLD, Caller()]
    _, refused, *rest = (at.at for at in cloud.arrivals if at.endpoint != "token")
    assert len(rest) == 3
    assert min(rest) >= refused + 7


async def later(seconds, call):
    await asyncio.sleep(seconds)
    return await call


async def test_a_retry_after_beyond_the_deadline_is_handed_on_up_to_the_cap():
    cloud = a_cloud()
    cloud.fail_with("data_action", 429, retry_after=86_400)
    async with genesys_of(cloud, attempts=3) as genesys:
        with pytest.raises(RateLimited) as caught:
            await genesys.execute_data_action("a", INPUTS)
        assert now() < 20

    assert caught.value.retry_after == 900
    assert cloud.counts["data_action"] == 1


async def test_an_exhausted_budget_of_the_platform_is_waited_out():
    cloud = a_cloud(requests_per_minute=3)
    async with genesys_of(cloud, attempts=3, deadline=200) as genesys:
        outputs = [await genesys.execute_data_action("a", INPUTS) for _ in range(4)]

    assert outputs == [GOLD] * 4
    assert cloud.arrivals[-1].at - cloud.arrivals[0].at >= 60


async def test_budget_headers_of_a_reply_slow_the_calls_down():
    cloud = a_cloud()
    cloud.fail_with("data_action", nearly_exhausted)
    async with genesys_of(cloud, per_minute=240, deadline=200) as genesys:
        for _ in range(22):  # two more than the burst
            await genesys.execute_data_action("a", INPUTS)

    assert cloud.arrivals[-1].at - cloud.arrivals[0].at > 25


async def nearly_exhausted(_):
    headers = {"count": "299", "allowed": "300", "reset": "30"}
    return web.json_response(
        GOLD, headers={f"inin-ratelimit-{name}": value for name, value in headers.items()}
    )


@pytest.mark.parametrize("fault", [html_502, html_200, reset_mid_body, hang, 500, 503, 504, 408])
async def test_a_failing_genesys_is_unavailable(fault):
    cloud = a_cloud()
    cloud.fail_with("data_action", fault)
    async with genesys_of(cloud) as genesys:
        with pytest.raises(Unavailable):
            await genesys.execute_data_action("a", INPUTS)


@pytest.mark.parametrize("fault", [html_502, html_200, reset_mid_body, hang, 503])
async def test_a_call_that_may_be_repeated_survives_one_failure(fault):
    cloud = a_cloud()
    cloud.fail_with("data_action", fault, times=1)
    async with genesys_of(cloud, attempts=3) as genesys:
        assert await genesys.execute_data_action("a", INPUTS) == GOLD


async def test_a_data_action_that_writes_is_not_repeated_after_a_reset():
    cloud = a_cloud()
    cloud.fail_with("data_action", reset_mid_body)
    async with genesys_of(cloud, attempts=3, repeatable=False) as genesys:
        with pytest.raises(Unavailable):
            await genesys.execute_data_action("a", INPUTS)

    assert cloud.counts["data_action"] == 1


async def test_a_failure_is_logged_with_path_template_status_code_and_correlation_id():
    context_id = "0b7f3d1e-1111-4a4a-9c9c-000000000007"

    async def forbidden(_):
        body = {"code": "missing.permissions", "status": 403, "contextId": context_id}
        return web.json_response(body, status=403)

    cloud = a_cloud()
    cloud.fail_with("data_action", forbidden)
    with structlog.testing.capture_logs() as lines:
        async with genesys_of(cloud) as genesys:
            with pytest.raises(Misconfigured):
                await genesys.execute_data_action("custom_-_1", INPUTS)

    assert [line for line in lines if line["event"] == "genesys_call_failed"] == [
        {
            "event": "genesys_call_failed",
            "log_level": "warning",
            "endpoint": "POST /api/v2/integrations/actions/{actionId}/execute",
            "status": 403,
            "code": "missing.permissions",
            "correlation_id": context_id,
            "failure": "Misconfigured",
        }
    ]


async def test_what_a_failure_says_of_limits_and_details_is_logged_and_no_value_with_it():
    async def refused(_):
        limit = {"namespace": "platform.api", "key": "token.rate.per.minute", "value": 300}
        details = [{"errorCode": "bad.value", "fieldName": "phone", "entityName": PHONE}]
        return error_body(429, limit=limit, details=details)

    cloud = a_cloud()
    cloud.fail_with("data_action", refused)
    with structlog.testing.capture_logs() as lines:
        async with genesys_of(cloud) as genesys:
            with pytest.raises(RateLimited):
                await genesys.execute_data_action("custom_-_1", INPUTS)

    [line] = [line for line in lines if line["event"] == "genesys_call_failed"]
    assert line["limit"]["key"] == "token.rate.per.minute"
    assert line["limit"]["value"] == 300
    assert line["details"] == ("bad.value phone",)
    assert PHONE not in str(line)


async def forbidden(_):
    return error_body(403, "missing.permissions")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_missing_permission_dead_letters_nothing(dialect):
    cloud = a_cloud()
    for endpoint in ("data_action", "conversation"):
        cloud.fail_with(endpoint, forbidden)
    async with genesys_of(cloud, dialect) as genesys:
        with pytest.raises(Misconfigured):
            await genesys.execute_data_action("a", INPUTS)
        with pytest.raises(Misconfigured):
            await genesys.caller(CONVERSATION)


async def quoting(_):
    return error_body(400, message=f"rejected value {PHONE}", code="bad.request")


@pytest.mark.parametrize(
    "fault", [None, quoting, html_502, html_200, reset_mid_body, hang, 401, 429]
)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_number_token_or_secret_is_in_any_log_or_traceback(fault, dialect, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "canary-secret"
    cloud = a_cloud(client_secret=secret)
    reported = []
    with structlog.testing.capture_logs() as lines:
        async with genesys_of(cloud, dialect) as genesys:
            await genesys.execute_data_action("a", INPUTS)
            if fault:
                cloud.fail_with("data_action", fault)
            try:
                await genesys.execute_data_action("a", INPUTS)
            except WorkerError as error:
                reported = traceback.format_exception(error)

    everything = f"{lines} {caplog.text} {reported}"
    canaries = [PHONE, PHONE[1:], secret, *cloud._tokens]
    assert len(cloud._tokens) >= 1
    assert [canary for canary in canaries if canary in everything] == []
