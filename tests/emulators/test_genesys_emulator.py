"""The emulated Genesys Cloud is held to the recorded replies, and is as strict as the real one.

What the readers make of a recorded reply they must make of the emulator's: the same value, or the
same failure with the same status and code.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from worker.clients.genesys import wire
from worker.clients.genesys.conversations import live_caller
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply, Request
from worker.emulators.genesys import GenesysCloud, GenesysServer, token_rate_limited
from worker.emulators.genesys.integrations import crm_lookup_failed
from worker.emulators.genesys.replies import error_body
from worker.errors import Misconfigured, RateLimited, WorkerError

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
PHONE = "+15550100001"
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"


TEXTS = [Reference(text) for text in ("r0", "r1", "r2", "r3", "r4")]


def a_sample(name):
    return orjson.loads((SAMPLES / name).read_bytes())


def recorded(name, status=200, **headers):
    body = (SAMPLES / name).read_bytes()
    return Reply(status=status, headers=headers, body=body, received_at=datetime.now(UTC))


def meaning(call, reply):
    """What the worker makes of a reply, in a form that can be compared."""
    try:
        return call.read(reply)
    except WorkerError as error:
        return type(error), getattr(error, "status", None), getattr(error, "code", None)


@pytest.fixture
async def cloud():
    async with GenesysServer() as cloud:
        yield cloud


@pytest.fixture
async def http(cloud):
    async with HttpClient("genesys", cloud.url, HttpLimits(total_seconds=5)) as http:
        yield http


@pytest.fixture
def send(cloud, http):
    async def send(request, token=None):
        headers = {"Authorization": f"Bearer {token or cloud.issue_token()}"}
        return await http.send(replace(request, headers=headers))

    return send


def shape(value):
    return {name: type(item) for name, item in value.items()}


@pytest.mark.parametrize("dialect", [Platform(), *TEXTS])
async def test_an_issued_token_is_that_of_the_sample(cloud, http, dialect):
    call = dialect.token(cloud.client_id, cloud.client_secret)

    reply = await http.send(call.request)

    assert shape(orjson.loads(reply.body)) == shape(a_sample("platform/token.json"))
    assert meaning(call, reply).expires_in == cloud.token_lifetime_seconds


@pytest.mark.parametrize("client", [("other", "demo-secret"), ("demo-client", "other")])
@pytest.mark.parametrize("dialect", [Platform(), *TEXTS])
async def test_a_refused_client_means_what_the_sample_means(http, dialect, client):
    call = dialect.token(*client)

    reply = await http.send(call.request)

    assert meaning(call, reply) == meaning(
        call, recorded("platform/token_invalid_client.json", 400)
    )
    assert set(orjson.loads(reply.body)) == set(a_sample("platform/token_invalid_client.json"))


async def test_the_token_rate_limit_means_what_the_sample_means(cloud, http):
    cloud.fail_with("token", token_rate_limited)
    call = Platform().token("id", "secret")

    meant = meaning(call, await http.send(call.request))

    assert meant == meaning(call, recorded("platform/token_rate_limited.json", 400))


async def test_a_platform_data_action_means_what_the_sample_means(cloud, send):
    cloud.customers[PHONE] = a_sample("platform/data_action_output.json")
    call = Platform().execute_data_action("custom_-_1", {"phone_number": PHONE})

    meant = meaning(call, await send(call.request))

    assert meant == meaning(call, recorded("platform/data_action_output.json"))


async def test_a_reference_data_action_means_what_the_sample_means(cloud, send):
    cloud.customers[PHONE] = a_sample("reference/data_action_success.json")["result"]
    call = Reference("r0").execute_data_action("a", {"phone_number": PHONE})

    meant = meaning(call, await send(call.request, cloud.issue_token("r0")))

    assert meant == meaning(call, recorded("reference/data_action_success.json"))


async def test_a_failed_lookup_of_the_reference_means_what_the_sample_means(cloud, send):
    cloud.fail_with("data_action", crm_lookup_failed)
    call = Reference("r0").execute_data_action("a", {"phone_number": PHONE})

    meant = meaning(call, await send(call.request, cloud.issue_token("r0")))

    assert meant == meaning(call, recorded("reference/data_action_error.json"))


async def test_a_live_conversation_means_what_the_sample_means(cloud, send):
    cloud.conversations[CONVERSATION] = a_sample("platform/conversation_live.json")
    call = live_caller(CONVERSATION)

    meant = meaning(call, await send(call.request))

    assert meant == meaning(call, recorded("platform/conversation_live.json"))


def raised_by(reply):
    with pytest.raises(WorkerError) as caught:
        wire.parse(reply)
    return caught.value


async def test_an_exhausted_budget_means_what_the_sample_means(cloud, send):
    cloud.requests_per_minute = 1
    token, request = cloud.issue_token(), live_caller(CONVERSATION).request
    await send(request, token)

    reply = await send(request, token)

    sample = raised_by(recorded("platform/error_429.json", 429, **{"retry-after": "42"}))
    error = raised_by(reply)
    assert isinstance(error, RateLimited)
    assert type(error) is type(sample)
    assert 0 < (error.retry_after or 0) <= 60
    assert set(orjson.loads(reply.body)) == {*a_sample("platform/error_429.json"), "limit"}
    assert f"[{error.retry_after:.0f}] seconds" in orjson.loads(reply.body)["message"]


async def test_each_token_has_a_budget_of_its_own(cloud, send):
    cloud.requests_per_minute = 1
    request = live_caller(CONVERSATION).request

    statuses = [(await send(request)).status for _ in range(3)]

    assert statuses == [404, 404, 404]


async def test_all_tokens_of_a_client_share_its_own_limit(cloud, send):
    cloud.requests_per_minute, cloud.client_requests_per_minute = 2, 3
    request = live_caller(CONVERSATION).request

    statuses = [(await send(request)).status for _ in range(4)]

    assert statuses == [404, 404, 404, 429]
    assert cloud.exceeded == {"client.credentials.token.rate.per.minute": 1}


async def test_a_missing_conversation_means_what_the_sample_means(send):
    reply = await send(live_caller(CONVERSATION).request)

    error, sample = raised_by(reply), raised_by(recorded("platform/error_sta_404.json", 404))
    assert (error.status, error.code) == (sample.status, sample.code)


async def test_a_missing_permission_can_be_reported_as_in_the_sample(cloud, send):
    async def forbidden(_):
        return error_body(403, "missing.permissions")

    cloud.fail_with("conversation", forbidden)

    error = raised_by(await send(live_caller(CONVERSATION).request))

    sample = raised_by(recorded("platform/error_403.json", 403))
    assert type(error) is type(sample) is Misconfigured


async def test_every_error_has_its_correlation_id_in_body_and_header(send):
    reply = await send(live_caller(CONVERSATION).request)

    context_id = orjson.loads(reply.body)["contextId"]
    assert context_id == reply.headers["inin-correlation-id"]
    assert wire.error_body_of(reply).correlation_id == context_id


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "authentication.required"),
        ({"Authorization": "Basic eDp5"}, "authentication.required"),
        ({"Authorization": "Bearer stale"}, "bad.credentials"),
    ],
)
async def test_a_call_without_a_living_token_is_a_401(http, header, code):
    path = f"/api/v2/conversations/{CONVERSATION}"

    reply = await http.send(Request(method="GET", path=path, template=path, headers=header))

    assert (reply.status, wire.error_body_of(reply).code) == (401, code)


async def test_a_revoked_token_is_a_401(cloud, send):
    token = cloud.issue_token()
    cloud.revoke_tokens()

    reply = await send(live_caller(CONVERSATION).request, token)

    assert reply.status == 401


@pytest.mark.looptime
async def test_a_token_dies_at_the_end_of_its_life():
    async with GenesysServer(GenesysCloud(token_lifetime_seconds=300)) as cloud:
        token = cloud.issue_token()
        await asyncio.sleep(299)
        assert cloud.knows_token(token)
        await asyncio.sleep(1)

        assert not cloud.knows_token(token)


ACTION = "/api/v2/integrations/actions/a/execute"
REFERENCE_ACTION = "/api/v2/data/actions/a/execute"


@pytest.mark.parametrize(
    ("method", "path", "over", "status"),
    [
        ("GET", ACTION, {}, 404),
        ("GET", "/api/v2/integrations/actions/a?expand=contract", {}, 400),
        ("POST", ACTION + "/", {"json": {"n": "1"}}, 404),
        ("POST", ACTION + "?flatten=true", {"json": {"n": "1"}}, 400),
        ("POST", ACTION, {}, 415),
        ("POST", ACTION, {"form": {"n": "1"}}, 415),
        ("POST", ACTION, {"json": ["1"]}, 400),
        ("POST", ACTION, {"json": {}}, 400),
        ("POST", ACTION, {"json": {"parameters": {"n": "1"}}}, 400),
        ("POST", REFERENCE_ACTION, {"json": {"n": "1"}}, 400),
        ("POST", REFERENCE_ACTION, {"json": {"parameters": {"n": 1}}}, 400),
        ("PUT", f"/api/v2/conversations/{CONVERSATION}", {"json": {}}, 404),
        ("GET", f"/api/v2/conversations/{CONVERSATION}?expand=all", {}, 400),
        ("GET", "/api/v2/oauth/clients", {}, 404),
    ],
)
async def test_a_request_of_the_wrong_shape_is_refused(cloud, send, method, path, over, status):
    token = cloud.issue_token("r0") if path == REFERENCE_ACTION else None

    reply = await send(Request(method=method, path=path, template=path, **over), token)

    assert reply.status == status
    assert orjson.loads(reply.body)["status"] == status


@pytest.mark.parametrize(
    ("path", "over"),
    [
        ("/oauth/token", {"json": {"grant_type": "client_credentials"}}),
        ("/oauth/token", {"form": {"grant_type": "password"}}),
        ("/oauth/token", {"form": {"grant_type": "client_credentials"}}),
        (
            "/api/v2/oauth/token",
            {
                "form": {"grant_type": "client_credentials"},
                "headers": Platform().token("demo-client", "demo-secret").request.headers,
            },
        ),
    ],
)
async def test_a_token_request_of_the_wrong_shape_is_refused(http, path, over):
    reply = await http.send(Request(method="POST", path=path, template=path, **over))

    assert reply.status == 400
    assert "error" in orjson.loads(reply.body)


async def test_requests_are_counted_by_endpoint(cloud, http, send):
    await http.send(Platform().token("x", "y").request)
    await send(live_caller(CONVERSATION).request)
    await send(Request(method="GET", path="/nowhere", template="/nowhere"))

    assert cloud.counts == {"token": 1, "conversation": 1, "unknown": 1}


async def test_a_fault_ends_after_its_times(cloud, send):
    cloud.fail_with("conversation", 503, times=2, retry_after=9)
    request = live_caller(CONVERSATION).request

    replies = [await send(request) for _ in range(3)]

    assert [reply.status for reply in replies] == [503, 503, 404]
    assert replies[0].headers["retry-after"] == "9"


async def test_a_fault_is_healed_at_once(cloud, send):
    cloud.fail_with("conversation", 503)
    cloud.heal("conversation")

    assert (await send(live_caller(CONVERSATION).request)).status == 404


@pytest.mark.looptime
async def test_latency_comes_before_every_answer():
    async with (
        GenesysServer(GenesysCloud(latency_seconds=2)) as cloud,
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=5)) as http,
    ):
        started = asyncio.get_running_loop().time()
        await http.send(Platform().token("x", "y").request)

        assert asyncio.get_running_loop().time() - started >= 2
