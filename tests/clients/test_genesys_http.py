"""The HTTP client under every other: what it refuses, bounds and translates."""

import asyncio
import contextlib
import gc
import gzip
import logging
import traceback
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

import pytest
from aiohttp import web

from worker.clients.http import HttpClient, HttpLimits, checked_base_url
from worker.clients.http_types import Request
from worker.errors import ConfigurationError, Permanent, Unavailable

pytestmark = pytest.mark.usefixtures("each_transport")

PHONE = "15550100001"
LIMITS = HttpLimits(total_seconds=5, reply_bytes=1000)


@asynccontextmanager
async def client_of(answer, limits=LIMITS):
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with HttpClient("crm", f"http://{host}:{port}", limits) as client:
            yield client
    finally:
        await runner.cleanup()


def a_request(**over):
    return Request(**{"method": "GET", "path": "/x", "template": "/x"} | over)


def answering(**kwargs):
    async def answer(_):
        return web.Response(**kwargs)

    return answer


async def test_a_reply_has_status_lower_case_headers_body_and_time():
    async with client_of(answering(status=418, body=b"tea", headers={"X-Kind": "Oolong"})) as http:
        reply = await http.send(a_request())

    assert (reply.status, reply.headers["x-kind"], reply.body) == (418, "Oolong", b"tea")
    assert abs((datetime.now(UTC) - reply.received_at).total_seconds()) < 60


async def test_json_and_forms_are_sent_as_such():
    async def echo(request):
        return web.Response(body=f"{request.content_type} {await request.text()}".encode())

    async with client_of(echo) as http:
        as_json = await http.send(a_request(method="POST", json={"a": "ä"}))
        as_form = await http.send(a_request(method="POST", form={"a": "b&c"}))

    assert as_json.body.decode() == 'application/json {"a":"ä"}'
    assert as_form.body == b"application/x-www-form-urlencoded a=b%26c"


async def test_a_redirect_is_not_followed():
    async with client_of(answering(status=302, headers={"Location": "/y"})) as http:
        assert (await http.send(a_request())).status == 302


async def test_no_cookie_is_kept():
    async def answer(request):
        return web.Response(
            body=request.headers.get("Cookie", "none").encode(), headers={"Set-Cookie": "a=b"}
        )

    async with client_of(answer) as http:
        await http.send(a_request())
        reply = await http.send(a_request())

    assert reply.body == b"none"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with client_of(answering(body=b"direct")) as http:
        assert (await http.send(a_request())).body == b"direct"


async def test_a_success_that_is_too_long_is_permanent():
    async with client_of(answering(body=b"x" * 1001)) as http:
        with pytest.raises(Permanent):
            await http.send(a_request())


async def test_an_error_page_that_is_too_long_is_unavailable():
    async with client_of(answering(status=502, body=b"x" * 1001)) as http:
        with pytest.raises(Unavailable):
            await http.send(a_request())


async def test_an_endless_reply_is_cut_off():
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)

    async with client_of(endless) as http:
        with pytest.raises(Permanent):
            await http.send(a_request())


def zipped(body, named="gzip"):
    return answering(body=body, headers={"Content-Encoding": named})


@pytest.mark.parametrize("named", ["gzip", "GZIP"])
async def test_a_gzipped_reply_is_unzipped(named):
    async with client_of(zipped(gzip.compress(b"x" * 1000), named)) as http:
        assert (await http.send(a_request())).body == b"x" * 1000


async def test_an_empty_reply_is_empty_though_it_claims_to_be_gzip():
    async with client_of(zipped(b"")) as http:
        assert (await http.send(a_request())).body == b""


async def test_a_decompression_bomb_is_cut_off():
    async with client_of(zipped(gzip.compress(b"x" * 900_000)[:1000])) as http:
        with pytest.raises(Permanent):
            await http.send(a_request())


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 500)[:-9]], ids=["none", "cut"])
async def test_broken_gzip_is_unavailable(body):
    async with client_of(zipped(body)) as http:
        with pytest.raises(Unavailable):
            await http.send(a_request())


@pytest.mark.looptime
async def test_a_reply_in_drops_is_unavailable_after_the_time_limit():
    async def drops(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(1)

    async with client_of(drops) as http:
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable):
            await http.send(a_request())

        assert asyncio.get_running_loop().time() - started == pytest.approx(5, abs=0.5)


async def test_a_refused_connection_is_unavailable_and_called_so():
    async with HttpClient("crm", "http://127.0.0.1:9", LIMITS) as http:
        with pytest.raises(Unavailable, match=r"^crm: ConnectionRefusedError$"):
            await http.send(a_request())


async def test_a_host_without_address_is_unavailable_and_called_so():
    async with HttpClient("crm", "https://host.invalid", LIMITS) as http:
        with pytest.raises(Unavailable, match=r"^crm: gaierror$"):
            await http.send(a_request())


async def test_an_answer_that_is_no_http_is_unavailable():
    async def babble(reader, writer):
        await reader.read(10)
        writer.write(b"EHLO\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpClient("crm", f"http://127.0.0.1:{port}", LIMITS) as http:
        with pytest.raises(Unavailable):
            await http.send(a_request())


async def test_the_query_of_a_url_is_in_no_log_and_no_traceback(caplog):
    caplog.set_level(logging.DEBUG)

    async def cut(request):
        request.transport.abort()
        return web.Response()

    async with client_of(cut) as http:
        with pytest.raises(Unavailable) as caught:
            await http.send(a_request(path=f"/x?phone={PHONE}"))
    async with client_of(answering(body=b"ok")) as http:
        await http.send(a_request(path=f"/x?phone={PHONE}"))

    assert PHONE not in caplog.text + "".join(traceback.format_exception(caught.value))


async def test_the_client_works_on_after_thousands_of_cancelled_requests():
    random = Random(1)

    async def slow(_):
        await asyncio.sleep(random.random() * 0.02)
        return web.Response(body=b"ok")

    async def cut_short(http):
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(random.random() * 0.03):
                await http.send(a_request())

    async with client_of(slow, HttpLimits(total_seconds=2, connections=20)) as http:
        for _ in range(40):
            await asyncio.gather(*(cut_short(http) for _ in range(100)))

        assert (await http.send(a_request())).body == b"ok"


async def test_nothing_is_left_open_when_the_client_is_closed():
    async with client_of(answering(body=b"ok")) as http:
        await http.send(a_request())

    gc.collect()  # an unclosed session or transport would warn here, and warnings are errors


@pytest.mark.parametrize(
    "url",
    [
        "https://api.mypurecloud.com",
        "http://localhost:8080",
        "http://127.0.0.1:1/gateway",
        "http://[::1]:8080",
    ],
)
def test_https_and_loopback_are_safe_to_call(url):
    assert checked_base_url("crm", url + "/") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.mypurecloud.com",
        "http://169.254.169.254/",
        "http://127.0.0.1.evil.example",
        "http://[::ffff:169.254.169.254]/",
        "ftp://localhost/x",
        "//evil.example",
        "https://",
        "https://x@evil.example",
        "https://host.example/?key=1",
        "https://host.example/#x",
    ],
)
def test_any_other_base_url_is_a_configuration_error_without_the_url(url):
    with pytest.raises(ConfigurationError) as caught:
        checked_base_url("crm", url)

    assert url not in str(caught.value)


async def test_headers_of_a_single_exchange_go_beside_those_of_the_request():
    async def echo(request):
        return web.Response(body=f"{request.headers['A']} {request.headers['B']}".encode())

    async with client_of(echo) as http:
        reply = await http.send(a_request(headers={"A": "1", "B": "2"}), {"B": "3"})

    assert reply.body == b"1 3"


async def test_a_repeated_header_is_one_of_values_joined_by_commas():
    async def twice(_):
        reply = web.Response()
        reply.headers.add("Warning", "a")
        reply.headers.add("Warning", "b")
        return reply

    async with client_of(twice) as http:
        assert (await http.send(a_request())).headers["warning"] == "a, b"


async def test_all_clients_share_the_authorities_they_trust():
    limits = HttpLimits(total_seconds=1)
    async with (
        HttpClient("one", "https://one.example", limits) as one,
        HttpClient("other", "https://other.example", limits) as other,
    ):
        assert one._transport._tls is other._transport._tls
