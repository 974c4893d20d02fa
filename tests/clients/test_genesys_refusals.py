"""Refusals by what stands between worker and Genesys: whose they are, and what to do."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson
import pytest
from aiohttp import web

from tests.support.factories import an_id
from worker.clients.genesys import wire
from worker.clients.genesys.api import Tokens
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply, Request, failure_of
from worker.errors import Misconfigured, Rejected, Unauthorized

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
LIMITS = HttpLimits(total_seconds=5)
GET = Request(method="GET", path="/x", template="/x")
REMEDY = "http://user:password@proxy.example:3128"


def a_reply(status, body=b"", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(status=status, headers=headers, body=body, received_at=NOW)


OTHERS = {
    "nginx": b"<html><center><h1>404 Not Found</h1></center></html>",
    "nothing": b"",
    "Kong": {"message": "no Route matched with those values"},
    "AWS's gateway": {"message": "Not Found"},
    "Azure's": {"statusCode": 404, "message": "Resource not found"},
    "Spring": {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/api/v2"},
    "an envelope": {"error": {"code": 404}},
    "a code without a domain": {"code": "NotFound"},
}


@pytest.mark.parametrize("status", [403, 404, 405, 410])
@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_a_refusal_without_code_and_correlation_id_is_not_genesys_own(status, body):
    assert Platform().foreign(a_reply(status, body))


@pytest.mark.parametrize("status", [403, 404, 405, 410])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"code": "resource.not.found"}, {}),
        ({"code": "architect.flow.deleted", "message": "x"}, {}),
        ({"code": "not found", "contextId": "0b7f3d1e-1111-4a4a-9c9c-000000000003"}, {}),
        (b"", {"inin_correlation_id": "0b7f3d1e-1111-4a4a-9c9c-000000000003"}),
    ],
)
def test_a_refusal_with_a_code_or_a_correlation_id_is_genesys_own(status, body, headers):
    assert not Platform().foreign(a_reply(status, body, **headers))


@pytest.mark.parametrize("status", [200, 400, 401, 409, 413, 429, 500, 502])
def test_what_no_call_takes_for_an_answer_is_left_to_its_status(status):
    assert not Platform().foreign(a_reply(status))


def test_the_reference_texts_do_not_say_how_a_refusal_is_written():
    assert not Reference("r3").foreign(a_reply(404))


@pytest.mark.parametrize(
    ("status", "setting", "words"),
    [(405, "GENESYS_API_URL", "firewall, proxy and gateway"), (407, "HTTPS_PROXY", REMEDY)],
)
def test_a_wrong_address_and_a_proxys_password_are_a_persons_to_set(status, setting, words):
    problem = wire.failure_of(a_reply(status))

    assert isinstance(problem, Misconfigured)
    assert problem.setting == setting
    assert words in problem.remedy


def test_too_large_a_request_is_a_fault_of_its_message():
    failure = wire.failure_of(a_reply(413, {"code": "request.entity.too.large"}))

    assert isinstance(failure, Rejected)
    assert failure.status == 413


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_an_endpoint_refuses_are_named_by_their_setting(status):
    problem = failure_of("crm", a_reply(status), "CRM_API_TOKEN")

    assert isinstance(problem, Unauthorized)
    assert (problem.setting, problem.remedy) == (
        "CRM_API_TOKEN",
        "check CRM_API_TOKEN: crm refuses its credentials",
    )


def test_of_an_endpoint_behind_a_proxy_the_proxys_refusal_is_the_proxys():
    assert failure_of("crm", a_reply(407), "CRM_API_TOKEN").setting == "HTTPS_PROXY"


@asynccontextmanager
async def a_proxy_that_says(status, monkeypatch):
    async def refuse(_, writer):
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:canary@127.0.0.1:{port}")
        monkeypatch.delenv("https_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield


@pytest.mark.parametrize("status", [403, 407])
async def test_a_proxy_that_refuses_to_connect_is_a_problem_with_a_remedy(status, monkeypatch):
    async with (
        a_proxy_that_says(status, monkeypatch),
        HttpClient("crm", "https://crm.example", LIMITS) as http,
    ):
        with pytest.raises(Misconfigured) as caught:
            await http.send(GET)

    assert str(caught.value) == f"crm: the proxy of HTTPS_PROXY answers {status}"
    assert caught.value.setting == "HTTPS_PROXY"
    assert REMEDY in caught.value.remedy
    assert "canary" not in f"{caught.value} {caught.value.remedy}"


async def test_no_token_for_want_of_the_proxys_password_is_not_ready_and_says_why(monkeypatch):
    async with (
        a_proxy_that_says(407, monkeypatch),
        HttpClient("genesys login", "https://login.mypurecloud.example", LIMITS) as http,
    ):
        tokens = Tokens(http, Platform().token("id", "secret"))
        with pytest.raises(Misconfigured):
            await tokens.get()

        assert tokens.refusal.setting == "HTTPS_PROXY"
        assert REMEDY in tokens.refusal.remedy
        assert tokens.problem == "genesys login: the proxy of HTTPS_PROXY answers 407"
        await tokens.aclose()


@pytest.mark.parametrize("status", [404, 405])
async def test_a_wrong_login_host_is_said_to_be_a_matter_of_the_environment(status):
    async def answer(_):
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with HttpClient("genesys login", url, LIMITS) as http:
        tokens = Tokens(http, Platform().token(an_id(), "secret"))
        with pytest.raises(Unauthorized):
            await tokens.get()
        assert "GENESYS_ENVIRONMENT" in tokens.refusal.remedy
        await tokens.aclose()
    await runner.cleanup()
