"""What answers oddly where a replica should be is shown as such, and hides no other replica."""

import asyncio
import io
import json
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from tests.support.snapshots import a_worker_in_trouble
from worker.cli import status as terminal
from worker.cli.console import pages
from worker.ops import replicas
from worker.ops.page import document

ODDLY = "answers oddly: not as a worker of this version does"

GOOD = document(replace(a_worker_in_trouble(), version="1", instance="a", host="pod-a"))

VALUES = st.one_of(
    st.sampled_from([float("nan"), float("inf"), -1, 10**30, 10**400, "Infinity", "1"]),
    st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats(),
    st.lists(st.none() | st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none() | st.floats(), max_size=2),
)


def places_in(value, path=()):
    """Yield the way to each value of a document."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else inner:
        yield from places_in(one, (*path, key))


def with_other(path, value):
    """Return the answer of a replica with another value at a place."""
    changed = deepcopy(GOOD)
    *way, last = path
    inner = changed
    for key in way:
        inner = inner[key]
    inner[last] = value
    return json.dumps(changed).encode()


def replies(body):
    return b"HTTP/1.0 200 OK\r\n\r\n" + body


def asked(body, name="127.0.0.1:9464"):
    """Return the replica that answered with this."""
    shown = replicas.Replica(address=name, name=name)
    try:
        return replace(shown, status=replicas._read(replies(body)))
    except ValueError:
        return replace(shown, problem=ODDLY)


def draw_all(found):
    """Draw these replicas wherever they are shown: terminal, console and JSON."""
    overview = replicas.overview_of(found)
    console = Console(width=80, highlight=False, file=io.StringIO())
    console.print(*terminal._sections(overview), sep="\n")
    json.dumps(terminal._as_dict(overview), allow_nan=False).encode()
    for draw in (pages.overview, pages.jobs, pages.upstreams):
        draw(overview).encode()


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(list(places_in(GOOD))), VALUES)
def test_no_value_at_any_place_of_an_answer_stops_the_overview(path, value):
    good = asked(json.dumps(GOOD).encode(), "127.0.0.2:9464")

    draw_all([asked(with_other(path, value)), good])

    assert good.status is not None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=50))
def test_no_bytes_after_the_head_of_an_answer_stop_the_overview(body):
    draw_all([asked(body)])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", '"Infinity"', "null"])
@pytest.mark.parametrize(
    "path", [("uptime_seconds",), ("queues", 0, "oldest", 0, "seconds"), ("permits_used",)]
)
def test_a_number_that_is_none_is_an_odd_answer(path, number):
    body = with_other(path, "HERE").replace(b'"HERE"', number.encode())

    assert asked(body).problem == ODDLY


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n<html>another server</html>",
        b"HTTP/1.1 500 Internal Server Error\r\n\r\n" + json.dumps(GOOD).encode(),
        b"HTTP/1.1 404 Not Found\r\n\r\n{}",
        b"HTTP/1.1 301 Moved\r\nLocation: http://169.254.169.254/\r\n\r\n",
        b"\x00\xff not HTTP",
        b"",
        *map(
            replies,
            [
                b"",
                b"{}",
                b"[]",
                b"null",
                b"12",
                b'"text"',
                b'{"version": "1"',
                b"\xff\xfe{}",
                b'{"version": "\xff", "instance": "a"}',
                b'{"version": "\\ud800", "instance": "a"}',
                b"[" * 200_000,
                b'{"version": "1", "instance": "a", "uptime_seconds": NaN}',
                b'{"version": "1", "instance": "a", "warnings": ["' + b"x" * 5_000_000 + b'"]}',
            ],
        ),
    ],
    ids=lambda answer: repr(answer[:60]),
)
async def test_what_is_no_worker_is_shown_as_such(answer):
    async def reply(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        [replica] = await replicas.ask_all([server.sockets[0].getsockname()])

    assert replica.status is None
    assert replica.problem == ODDLY
    draw_all([replica])


async def test_one_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(replicas, "ANSWER_SECONDS", 0.5)

    given_up = asyncio.Event()

    async def drip(reader, writer):
        while not writer.is_closing():
            writer.write(b"H")
            await asyncio.sleep(0.05)
        given_up.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        [replica] = await replicas.ask_all([server.sockets[0].getsockname()])
        await given_up.wait()

    assert replica.problem == "answers oddly: not all of it came in 0.5 s"
