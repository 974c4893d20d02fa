"""A connection carries one reply at a time, and none that is not its request's."""

import asyncio
import socket
import ssl
import time
from contextlib import suppress

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from hypothesis import HealthCheck, given, settings
from structlog.testing import capture_logs

from tests.clients.connections.test_reply_bytes import MUTATIONS, WHOLE, chunked, head, mutated
from tests.support.aws_stub import a_client
from tests.support.raw_server import a_raw_server
from tests.support.tls import a_certificate
from worker.clients import http11


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return a_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["plain", "TLS"])
async def raw(request, certificate, monkeypatch):
    context = None
    if request.param == "TLS":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    async with a_raw_server(context) as raw:
        monkeypatch.setenv("AWS_ENDPOINT_URL", raw.url)
        raw.replies = [[reply(b"{}")]]
        yield raw


@pytest.fixture
async def client(raw):
    async with a_client("wire", pool=2) as client:
        yield client


def reply(body, *lines):
    return head(b"Content-Length: %d\r\n" % len(body), *lines) + body


def answer(name):
    return b'{"MessageId":"%b"}' % name


async def call(client):
    return (await client.receive_message(QueueUrl="q")).get("MessageId")


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  what is awaited is in another's hands
            await asyncio.sleep(0.001)


async def test_a_connection_serves_one_call_after_the_other(raw, client):
    for _ in range(3):
        await call(client)

    assert (raw.asked, raw.opened) == (3, 1)


async def test_a_client_opens_as_many_connections_as_it_may(raw, client):
    await asyncio.gather(*(call(client) for _ in range(20)))

    assert (raw.asked, raw.opened) == (20, 2)


@pytest.mark.parametrize(
    "closing",
    [
        reply(b"{}", b"Connection: close\r\n"),
        reply(b"{}").replace(b"HTTP/1.1", b"HTTP/1.0"),
        head(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n") + chunked(b"{}", 1),
    ],
    ids=["close", "HTTP/1.0", "chunks"],
)
async def test_a_connection_that_the_server_will_close_carries_no_other_call(raw, client, closing):
    raw.replies = [[closing]]
    for _ in range(3):
        await call(client)

    assert (raw.asked, raw.opened) == (3, 3)


async def test_a_connection_of_http_1_0_is_kept_when_the_server_says_so(raw, client):
    kept = reply(b"{}", b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
    raw.replies = [[kept]]
    for _ in range(3):
        await call(client)

    assert (raw.asked, raw.opened) == (3, 1)


async def test_an_interim_reply_is_no_answer(raw, client):
    raw.replies = [[b"HTTP/1.1 100 Continue\r\n\r\n", reply(answer(b"own"))]]

    assert await call(client) == "own"


@pytest.mark.parametrize("apart", [True, False], ids=["after", "with"])
async def test_what_follows_a_reply_is_not_the_next_ones(raw, client, apart):
    pieces = [reply(answer(b"first")), reply(answer(b"no call's"))]
    raw.replies = [pieces if apart else [b"".join(pieces)], [reply(answer(b"second"))]]
    with capture_logs() as logs:
        first = await call(client)
        await raw.closed.wait()
        second = await call(client)

    assert (first, second) == ("first", "second")
    assert {"event": "reply_unasked", "log_level": "warning", "host": "localhost"} in logs
    assert raw.opened == 2


async def test_a_reply_that_no_one_asked_for_ends_its_connection(raw, client):
    await call(client)
    raw.replies = [[reply(answer(b"own"))]]
    with capture_logs() as logs:
        raw.say(reply(answer(b"no call's")))
        await raw.closed.wait()

        assert await call(client) == "own"

    assert [line["event"] for line in logs] == ["reply_unasked"]


async def test_a_connection_that_the_server_closed_meanwhile_costs_no_call(raw, client):
    await call(client)
    raw.hang_up()
    await until(lambda: not raw.standing)

    await call(client)

    assert (raw.asked, raw.opened) == (2, 2)


async def test_a_connection_that_is_idle_for_long_is_not_used_again(raw, client, monkeypatch):
    await call(client)
    monkeypatch.setattr(http11, "KEEP_ALIVE_SECONDS", 0)

    await call(client)

    assert (raw.asked, raw.opened) == (2, 2)


@pytest.mark.parametrize("cut", [0, 1, 30, -1], ids=["nothing", "a byte", "a head", "a body"])
async def test_a_request_whose_reply_is_cut_is_not_repeated_below_the_retries(raw, client, cut):
    raw.replies = [[reply(b"{}")], [reply(answer(b"lost"))[:cut], None]]
    await call(client)
    with pytest.raises(ConnectionClosedError):
        await call(client)

    assert raw.asked == 2


async def test_a_cancelled_call_leaves_no_reply_to_the_next_one(raw, client):
    raw.replies = [[reply(b"{}")], []]
    await call(client)
    late = raw.standing[1]
    waiting = asyncio.create_task(call(client))
    await raw.waiting.wait()
    raw.replies = [[reply(answer(b"own"))]]
    waiting.cancel()
    await asyncio.wait([waiting])
    with suppress(OSError):
        late.write(reply(answer(b"the cancelled one's")))

    assert await call(client) == "own"
    assert raw.opened == 2


async def test_a_call_that_is_cancelled_in_the_middle_of_its_reply_ends_its_connection(raw, client):
    whole = reply(answer(b"late"))
    raw.replies = [[whole[:40]]]
    waiting = asyncio.create_task(call(client))
    await until(lambda: raw.asked)
    waiting.cancel()
    await asyncio.wait([waiting])
    await raw.closed.wait()

    raw.replies = [[reply(answer(b"own"))]]
    assert await call(client) == "own"


async def test_cancelled_calls_give_their_places_back(raw, client):
    raw.replies = [[]]
    for _ in range(5):
        calls = [asyncio.create_task(call(client)) for _ in range(4)]
        await raw.waiting.wait()
        for one in calls:
            one.cancel()
        await asyncio.wait(calls)
        raw.waiting.clear()

    raw.replies = [[reply(answer(b"own"))]]
    assert await call(client) == "own"


async def test_calls_that_are_cancelled_while_they_connect_leave_no_connection(raw):
    async with a_client("wire", pool=50) as client:
        for turns in range(40):
            one = asyncio.create_task(call(client))
            for _ in range(turns):
                await asyncio.sleep(0)
            one.cancel()
            await asyncio.wait([one])
        await call(client)
    await until(lambda: not raw.standing)


async def test_a_reply_that_comes_slowly_is_not_late_while_it_comes(raw):
    whole = reply(answer(b"own"))
    raw.replies = [[part for n in range(0, len(whole), 8) for part in (whole[n : n + 8], 0.2)]]
    async with a_client("wire", read_seconds=1.5, total_seconds=60) as client:
        assert await call(client) == "own"


async def test_a_call_that_waited_all_its_time_for_a_connection_is_not_sent(raw, monkeypatch):
    monkeypatch.setattr(http11, "LEAST_SECONDS", 0.5)  # the calls do not begin at one moment
    raw.replies = [[reply(b"{}")], []]
    async with a_client("wire", pool=1, total_seconds=1) as client:
        await call(client)
        calls = [asyncio.create_task(call(client)) for _ in range(4)]
        done, pending = await asyncio.wait(calls, timeout=5)

    assert not pending
    assert {type(one.exception()) for one in done} == {ReadTimeoutError}
    assert raw.asked == 2


@pytest.fixture
def once_connected(monkeypatch):
    """Let something happen between the making of a connection and the request."""

    def patch(happening):
        connect = http11.Pool._connect

        async def connect_and_wait(pool, connection):
            await connect(pool, connection)
            await happening(connection)

        monkeypatch.setattr(http11.Pool, "_connect", connect_and_wait)

    return patch


async def test_a_connection_that_ends_before_its_request_fails_the_call_at_once(
    raw, client, once_connected
):
    async def lost(connection):
        await until(lambda: raw.standing)
        raw.hang_up()
        await connection.gone

    once_connected(lost)
    with pytest.raises(ConnectionClosedError):
        async with asyncio.timeout(60):
            await call(client)


async def test_a_call_that_is_cancelled_with_its_connection_just_made_closes_it(
    raw, client, once_connected
):
    made = asyncio.Event()

    async def held(_):
        made.set()
        await asyncio.Event().wait()

    once_connected(held)
    waiting = asyncio.create_task(call(client))
    await made.wait()
    waiting.cancel()
    await asyncio.wait([waiting])

    async with asyncio.timeout(60):
        await raw.closed.wait()


async def test_a_reply_without_length_ends_with_its_connection(raw, client):
    raw.replies = [[head(), answer(b"own"), None]]

    assert await call(client) == "own"


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request"])
@pytest.mark.parametrize("body", [b"", answer(b"cut")[:-1]], ids=["nothing", "a part"])
async def test_a_reply_without_length_that_may_be_cut_is_none(raw, client, status, body):
    raw.replies = [[head(status=b"HTTP/1.1 " + status + b"\r\n"), body, None]]

    with pytest.raises(HTTPClientError):
        await call(client)


async def test_an_answer_to_half_a_request_ends_the_connection(raw, client):
    raw.reads_bodies = False
    refusal = reply(b'{"__type":"RequestEntityTooLarge"}').replace(b"200 OK", b"413 Too Large")
    raw.replies = [[refusal]]
    with pytest.raises(Exception, match="RequestEntityTooLarge"):
        await client.send_message(QueueUrl="q", MessageBody="x" * 16 * 2**20)
    raw.reads_bodies = True
    raw.replies = [[reply(answer(b"own"))]]

    assert await call(client) == "own"
    assert raw.opened == 2


async def test_what_is_no_reply_is_a_failure_of_its_call(raw, client):
    raw.replies = [[b"220 smtp.example ESMTP\r\n"], [reply(answer(b"own"))]]
    with pytest.raises(HTTPClientError):
        await call(client)

    assert await call(client) == "own"


async def test_a_client_that_closes_ends_its_calls_and_its_connections(raw):
    raw.replies = [[]]
    async with a_client("wire", pool=2) as client:
        calls = [asyncio.create_task(call(client)) for _ in range(3)]
        await raw.waiting.wait()
    done, pending = await asyncio.wait(calls, timeout=5)

    assert not pending
    assert {type(one.exception()) for one in done} == {ConnectionClosedError}
    await until(lambda: not raw.standing)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mutations=MUTATIONS)
@pytest.mark.parametrize("name", ["length", "chunks"])
async def test_after_a_reply_of_any_kind_a_call_gets_its_own(raw, client, name, mutations):
    raw.replies = [[mutated(WHOLE[name], mutations), None], [reply(answer(b"own"))]]
    answers = []
    for _ in range(3):
        # The server's close after its reply may cross the next request: no answer then, and none
        # of another's.
        with suppress(BotoCoreError, ClientError):
            answers.append(await call(client))

    assert answers[-1] == "own"
    assert set(answers) <= {None, "own"}


async def test_a_silent_address_costs_a_moment(monkeypatch, raw):
    resolve = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        where = silent.getsockname()

        def both(host, port, *args, **named):
            found = resolve(host, port, *args, **named)
            usable = next(one for one in found if one[0] == socket.AF_INET)
            return [(*usable[:4], where), usable]

        with socket.create_connection(where):
            monkeypatch.setattr(socket, "getaddrinfo", both)
            began = time.monotonic()
            async with a_client("wire", connect_seconds=3) as client:
                await call(client)

    assert time.monotonic() - began < 2


@pytest.mark.parametrize("raw", ["TLS"], indirect=True)
async def test_a_server_of_another_name_is_not_spoken_to(raw, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", raw.url.replace("localhost", "127.0.0.1"))
    async with a_client("wire") as client:
        with pytest.raises(SSLError):
            await call(client)

    assert raw.asked == 0
