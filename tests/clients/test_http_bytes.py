"""Bytes on the way: what URLs become, how long a header may be, what zipped replies are."""

import asyncio
import gzip
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.clients.http import HttpClient, HttpLimits, _unzipped
from worker.clients.http_types import Request
from worker.errors import ConfigurationError, Permanent, Unavailable, Unreadable

pytestmark = pytest.mark.usefixtures("each_transport")

LIMITS = HttpLimits(total_seconds=5, reply_bytes=1000)
SIGNED = "/b%2Fc%3A/%27%28%2e%2e/t.json?X-Amz-Signature=%2F%3a%27%28&X-Amz-Date=a+b%20c&d='(!)~"


def a_reply(body=b"{}", *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    return b"\r\n".join([*lines, b"", body])


@asynccontextmanager
async def a_server(reply):
    """Give its URL, and the heads of the requests it gets."""
    heads = []

    async def serve(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


async def answer_to(path, reply, base="", method="GET", **request):
    async with a_server(reply) as (url, heads), HttpClient("crm", url + base, LIMITS) as http:
        got = await http.send(Request(method=method, path=path, template="/", **request))
    return got, [head.split(" ")[1] for head in heads]


@pytest.mark.parametrize(
    ("method", "json", "length"),
    [("GET", None, None), ("POST", None, "0"), ("POST", {"a": "ä"}, "10"), ("PATCH", None, "0")],
)
async def test_a_request_has_the_length_of_its_body(method, json, length):
    async with a_server(a_reply()) as (url, heads), HttpClient("crm", url, LIMITS) as http:
        await http.send(Request(method=method, path="/x", template="/", json=json))

    head = dict(line.lower().split(": ") for line in heads[0].split("\r\n")[1:-2])
    assert head.get("content-length") == length
    assert head["host"] == url.removeprefix("http://")
    assert head["accept-encoding"] == "gzip"
    assert "transfer-encoding" not in head


@pytest.mark.parametrize(
    "path", [SIGNED, "/a/../b//c/./d", "/%zz%", "/a{b}|^`?{}|=&&=", "/x?a=b?c=/d//"]
)
async def test_the_bytes_of_a_url_arrive_as_they_are(path):
    _, arrived = await answer_to(path, a_reply())

    assert arrived == [path]


async def test_the_bytes_of_a_base_url_arrive_as_they_are():
    _, arrived = await answer_to("/y", a_reply(), base="/gate%2Fway/%2e%2e")

    assert arrived == ["/gate%2Fway/%2e%2e/y"]


async def test_what_no_request_line_can_hold_is_quoted():
    _, arrived = await answer_to("/ü\r\nX: y#z", a_reply())

    assert arrived == ["/%C3%BC%0D%0AX:%20y%23z"]


async def test_a_reply_header_of_60_kib_is_read_at_the_first_call():
    header = b"X-Trace: " + b"t" * 60 * 1024
    reply, arrived = await answer_to("/x", a_reply(b"{}", header))

    assert (len(reply.headers["x-trace"]), len(arrived)) == (60 * 1024, 1)


async def test_a_longer_reply_header_is_unavailable():
    with pytest.raises(Unavailable):
        await answer_to("/x", a_reply(b"{}", b"X-Trace: " + b"t" * 70 * 1024))


ZIPPED = gzip.compress(b'{"a":') + gzip.compress(b"1}")


@pytest.mark.parametrize("named", ["gzip", "x-gzip", "X-GZIP", "identity, gzip", "gzip, identity"])
async def test_a_reply_is_unzipped_whatever_gzip_is_called(named):
    reply, _ = await answer_to("/x", a_reply(ZIPPED, b"Content-Encoding: " + named.encode()))

    assert reply.body == b'{"a":1}'


async def test_a_reply_that_was_zipped_twice_is_unzipped_twice():
    body = gzip.compress(ZIPPED)
    reply, _ = await answer_to("/x", a_reply(body, b"Content-Encoding: gzip, gzip"))

    assert reply.body == b'{"a":1}'


@pytest.mark.parametrize(
    "body", [ZIPPED[:-6], b"{}", ZIPPED[:12] + b"\xff" * 9], ids=["cut short", "none", "broken"]
)
async def test_gzip_that_cannot_be_read_is_a_fault_of_this_reply_alone(body):
    """And not of the upstream, whose breaker it would open."""
    with pytest.raises(Unreadable, match="gzip"):
        await answer_to("/x", a_reply(body, b"Content-Encoding: gzip"))


async def test_padding_after_the_last_member_is_ignored():
    reply, _ = await answer_to("/x", a_reply(ZIPPED + b"\0" * 9, b"Content-Encoding: gzip"))

    assert reply.body == b'{"a":1}'


async def test_a_bomb_in_the_second_member_is_cut_off():
    body = gzip.compress(b"1") + gzip.compress(b"x" * 900_000)
    with pytest.raises(Permanent):
        await answer_to("/x", a_reply(body, b"Content-Encoding: gzip"))


def test_members_without_end_cost_bounded_time():
    assert _unzipped("crm", gzip.compress(b"x") * 100_000, 10**6) == b"x" * 1000


@given(st.lists(st.binary(max_size=200_000), min_size=1, max_size=4), st.integers(1, 300_000))
def test_any_members_are_joined_up_to_the_limit(parts, limit):
    zipped = b"".join(map(gzip.compress, parts))

    assert _unzipped("crm", zipped, limit) == b"".join(parts)[:limit]


@pytest.mark.parametrize("url", ["https://[::1", "https://h:99999", "https://h:x"])
def test_a_host_that_cannot_be_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError):
        HttpClient("crm", url, LIMITS)


async def test_a_host_that_no_resolver_takes_is_unavailable():
    async with HttpClient("crm", f"https://{'a' * 70}.example", LIMITS) as http:
        with pytest.raises(Unavailable):
            await http.send(Request(method="GET", path="/x", template="/x"))


@pytest.mark.parametrize("value", ["Bearer \u20ac", "Bearer a\r\nX-Other: b", "Bearer a\nb"])
async def test_a_request_that_cannot_be_written_is_permanent(value):
    with pytest.raises(Permanent) as caught:
        await answer_to("/x", a_reply(), headers={"Authorization": value})

    assert str(caught.value) == "crm: unsendable (ValueError)"


async def test_a_reply_without_a_body_of_its_length_is_not_waited_for():
    with pytest.raises(Permanent):
        await answer_to("/x", a_reply(), method="HEAD")


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"\0\xff\r\n\r\n",
        b"",
    ],
)
async def test_what_is_no_http_is_unavailable_and_no_third_kind_of_failure(reply):
    with pytest.raises(Unavailable):
        await answer_to("/x", reply)
