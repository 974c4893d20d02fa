"""Replies byte by byte: however they arrive, a reply is read whole and as it is, or not at all."""

import gc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from worker.clients.http11_reply import MalformedReply, Reading, Reply, ReplyCut
from worker.clients.http_network import MAX_HEADER_BYTES

MOST_BYTES = 100_000
BODY = b'{"Messages":[{"Body":"a\\r\\n\\r\\nHTTP/1.1 200 OK"}]}'
DATE = b"Date: Mon, 02 Mar 2026 12:00:00 GMT\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


def head(*lines, status=b"HTTP/1.1 200 OK\r\n"):
    return status + b"".join(lines) + b"\r\n"


def chunked(body, size, trailer=b""):
    pieces = [body[n : n + size] for n in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in [*pieces, b""])[:-2] + (
        trailer + b"\r\n"
    )


CHUNKED = head(DATE, b"Transfer-Encoding: Chunked\r\n")
EARLY = head(b"Link: </a>\r\n", status=b"HTTP/1.1 103 Early Hints\r\n")
CONTINUE = head(status=b"HTTP/1.1 100 Continue\r\n")

WHOLE = {
    "length": head(DATE, LENGTH) + BODY,
    "chunks": CHUNKED + chunked(BODY, 7),
    "trailer": CHUNKED + chunked(BODY, 20, b"Date: never\r\nX-Amz-Crc32: 1\r\n"),
    "interim": CONTINUE + EARLY + head(DATE, LENGTH) + BODY,
    "old": head(DATE, LENGTH, status=b"HTTP/1.0 200 OK\r\n") + BODY,
    "closing": head(DATE, LENGTH, b"Connection: close\r\n") + BODY,
}
UNTIL_CLOSE = head(DATE) + BODY
ANSWER = Reply(200, {"date": "Mon, 02 Mar 2026 12:00:00 GMT"}, BODY)


def fed(*pieces):
    """What was read of them."""
    reading = Reading(MOST_BYTES)
    whole = [reading.feed(piece) for piece in pieces]
    assert not any(whole[:-1])
    return reading


def answer_in(reading):
    """The reply, without the headers that frame it."""
    reply = reading.reply
    framing = {"content-length", "transfer-encoding", "connection"}
    headers = {name: value for name, value in reply.headers.items() if name not in framing}
    return replace(reply, headers=headers)


whole_replies = pytest.mark.parametrize("reply", WHOLE.values(), ids=WHOLE)


@whole_replies
def test_a_reply_is_the_same_wherever_it_is_split(reply):
    for place in range(1, len(reply)):
        reading = fed(reply[:place], reply[place:])

        assert answer_in(reading) == ANSWER
        assert not reading.surplus


@whole_replies
def test_a_reply_is_the_same_byte_by_byte(reply):
    assert answer_in(fed(*(bytes([byte]) for byte in reply))) == ANSWER


@whole_replies
def test_a_reply_that_is_cut_anywhere_is_none(reply):
    for place in range(len(reply)):
        reading = fed(reply[:place])

        assert reading.reply is None
        assert reading.end() is None


@pytest.mark.parametrize(
    ("name", "keeps"),
    [("length", True), ("chunks", True), ("interim", True), ("old", False), ("closing", False)],
)
def test_a_connection_is_kept_when_the_server_keeps_it(name, keeps):
    assert fed(WHOLE[name]).keep_alive is keeps


def test_a_reply_without_a_length_ends_with_its_connection_and_says_so():
    reading = fed(UNTIL_CLOSE)

    assert reading.reply is None
    assert reading.end() == Reply(200, ANSWER.headers, BODY, until_close=True)
    assert not reading.keep_alive


@whole_replies
@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1 200 OK\r\n", WHOLE["length"], b"\x00" * 9])
def test_what_follows_a_reply_is_surplus_and_no_part_of_it(reply, more):
    reading = fed(reply + more)

    assert reading.surplus
    assert answer_in(reading) == ANSWER


REFUSED = {
    "no HTTP": b"220 smtp.example ESMTP\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "HTTP/2": head(LENGTH, status=b"HTTP/2.0 200 OK\r\n") + BODY,
    "HTTP/0.9": head(LENGTH, status=b"HTTP/0.9 200 OK\r\n") + BODY,
    "a status below all": head(LENGTH, status=b"HTTP/1.1 099 OK\r\n") + BODY,
    "an upgrade": head(
        b"Upgrade: h2c\r\nConnection: upgrade\r\n", status=b"HTTP/1.1 101 Switching\r\n"
    ),
    "a bare LF": head(b"A: b\nContent-Length: 2\r\n") + b"{}",
    "LF for CRLF": WHOLE["length"].replace(b"\r\n", b"\n"),
    "a folded header": head(b"A:\r\n b\r\n", LENGTH) + BODY,
    "NUL in a header": head(b"A: a\x00b\r\n", LENGTH) + BODY,
    "two lengths": head(LENGTH, b"Content-Length: 2\r\n") + BODY,
    "a length and chunks": head(LENGTH, b"Transfer-Encoding: chunked\r\n") + chunked(BODY, 9),
    "chunks and a length": head(b"Transfer-Encoding: chunked\r\n", LENGTH) + chunked(BODY, 9),
    "a length that is none": head(b"Content-Length: +2\r\n") + b"{}",
    "a length beyond all": head(b"Content-Length: 99999999999999999999\r\n") + b"{}",
    "a coding": head(b"Transfer-Encoding: gzip\r\n") + BODY,
    "chunks of a coding": head(b"Transfer-Encoding: gzip, chunked\r\n") + chunked(BODY, 9),
    "a chunk without size": CHUNKED + b"x\r\n",
    "a chunk beyond its size": CHUNKED + b"2\r\nabc\r\n",
}


@pytest.mark.parametrize("reply", REFUSED.values(), ids=REFUSED)
def test_what_a_good_client_refuses_is_refused(reply):
    with pytest.raises(MalformedReply):
        fed(reply)


HUGE = b"X-Trace: " + b"t" * MAX_HEADER_BYTES + b"\r\n"


@pytest.mark.parametrize("size", [1024, 10**6])
@pytest.mark.parametrize(
    "reply",
    [
        head(HUGE, LENGTH) + BODY,
        head(*[b"X-%d: y\r\n" % n for n in range(10_000)], LENGTH) + BODY,
        b"HTTP/1.1 200 " + b"O" * 2 * MAX_HEADER_BYTES,
    ],
    ids=["one header", "many headers", "a reason"],
)
def test_a_head_beyond_the_limit_is_refused_however_it_comes(reply, size):
    with pytest.raises(MalformedReply):
        fed_in_pieces(reply, size)


def test_interim_replies_without_end_are_refused():
    with pytest.raises(MalformedReply):
        fed_in_pieces(CONTINUE * 4000 + WHOLE["length"], 1024)


def fed_in_pieces(reply, size):
    reading = Reading(MOST_BYTES)
    for n in range(0, len(reply), size):
        reading.feed(reply[n : n + size])
    return reading


@pytest.mark.parametrize("trailing", [b"", b"1\r\nx\r\n" * 20_000, b"0\r\nX: " + b"t" * 120_000])
def test_a_body_with_all_its_framing_has_a_limit(trailing):
    body = trailing or chunked(b"x" * 101_000, 1000)

    with pytest.raises(ReplyCut, match="too large"):
        fed_in_pieces(CHUNKED + body, 1024)


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "repeat"]),
        st.integers(0, 400),
        st.binary(min_size=1, max_size=4) | st.sampled_from([b"\r", b"\n", b"\r\n", b":", b"0"]),
    ),
    max_size=4,
)


def mutated(reply, mutations):
    for kind, number, some in mutations:
        place = number % (len(reply) or 1)
        before, after = reply[:place], reply[place:]
        reply = {
            "replace": before + some + after[len(some) :],
            "insert": before + some + after,
            "delete": before + after[len(some) :],
            "repeat": before + after[: 8 * len(some)] + after,
        }[kind]
    return reply


@given(
    reply=st.sampled_from([*WHOLE.values(), UNTIL_CLOSE]),
    mutations=MUTATIONS,
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
@example(reply=WHOLE["length"], mutations=[("delete", 0, b"H")], cuts=[])
def test_of_bytes_of_any_kind_there_is_a_reply_or_a_refusal(reply, mutations, cuts):
    reply = mutated(reply, mutations)
    places = sorted({0, *(cut % (len(reply) + 1) for cut in cuts), len(reply)})
    pieces = [reply[a:b] for a, b in pairwise(places)]

    assert outcome(pieces) == outcome([reply])


def outcome(pieces):
    """The same reply or refusal, however the bytes were cut."""
    reading = Reading(MOST_BYTES)
    try:
        for piece in pieces:
            if reading.reply is not None:
                break  # a connection is not read on
            reading.feed(piece)
    except MalformedReply:
        return "refused"
    reply = reading.end()
    if reply is not None:
        assert 200 <= reply.status <= 999
    return reply


def test_a_reply_that_was_read_leaves_nothing_to_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        reading = Reading(MOST_BYTES)
        whole = reading.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        reply = reading.reply
        del reading
        assert gc.collect() == 0
    finally:
        gc.enable()

    assert whole
    assert reply.body == b"{}"
