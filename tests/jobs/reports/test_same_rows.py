"""Rows decoded by type are those of the first reader, which decoded all JSON: whatever comes."""

import codecs
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.rows import rows_of_platform, rows_of_reference
from tests.support.genesys import DAY
from worker.clients.genesys.details_query import ReferencePages, platform_page
from worker.clients.genesys.filters import REFERENCE_GROUPS, REFERENCE_METRICS, Filters, Slice
from worker.clients.http_types import Reply
from worker.errors import Unreadable, WorkerError
from worker.jobs.reports.reader import ROWS, rows_of

SAMPLES = Path(__file__).parents[2] / "samples" / "replies"
PLATFORM = (SAMPLES / "platform" / "details_query_response.json").read_bytes()
REFERENCE = (SAMPLES / "reference" / "report_page.json").read_bytes()

ODD = (
    *(None, True, False, -1, 0, 7, 1.5, -0.0, 1e300, 2**53 + 1, 10**30, "", "x", "12", "1e3"),
    *([], [None], [[]], [{}], {}, {"a": 1}, float("nan"), float("inf"), "\ud83d", "é"),
)
TIMES = (
    *("2026-03-01T10:00:00.000Z", "2026-03-01T10:00:07.5Z", "2026-03-01T11:00:00+02:00"),
    *("2026-03-01", "2026-03-01T09:00:00", "2026-03-01T10:00:60Z", "0001-01-01T00:00Z", "soon"),
)


def often(usual):
    return usual | usual | usual | st.sampled_from(ODD)


def of(**members):
    """Objects whose members may be missing, or anything."""
    optional = {name: often(usual) for name, usual in members.items()}
    return st.fixed_dictionaries({}, optional=optional)


def some(usual):
    return st.lists(often(usual), max_size=3)


words = st.sampled_from(["a", "b", "c", "VOICE", "voice"])
times = st.sampled_from(TIMES)
lengths = st.integers(0, 10**6) | st.floats(allow_nan=False)
metrics = of(name=st.sampled_from(["tTalk", "tHeld", "tAnswered", "tAcw"]), value=lengths)
segments = of(
    segmentType=st.sampled_from(["interact", "wrapup", "alert"]),
    segmentStart=times,
    queueId=words,
    wrapUpCode=words,
    conference=st.booleans(),
)
sessions = of(mediaType=words, metrics=some(metrics), segments=some(segments))
participants = of(
    purpose=st.sampled_from(["agent", "user", "acd", "customer"]),
    userId=words,
    sessions=some(sessions),
)
conversations = of(
    conversationId=words,
    conversationStart=st.sampled_from(TIMES[:3]),
    conversationEnd=times,
    originatingDirection=words,
    divisionIds=some(words),
    participants=some(participants),
)
asked = st.dictionaries(
    st.sampled_from(["mediaType", "queueId", "userId", "divisionId"]),
    st.sets(words, min_size=1),
    max_size=2,
)
figures = of(**dict(zip(REFERENCE_METRICS, (lengths, lengths, lengths, some(words)), strict=True)))
results = of(
    **{
        "timestamp": times,
        "conversation.id": words,
        "conversationId": words,
        "metrics": figures,
        **dict.fromkeys(REFERENCE_GROUPS, words),
    }
)


def a_reply(body, status=200, content_type="application/json"):
    return Reply(
        status=status,
        headers={"content-type": content_type},
        body=body,
        received_at=datetime.now(UTC),
    )


def outcome(read, *of_what):
    """The rows, or the kind of failure."""
    try:
        return list(read(*of_what))
    except WorkerError as error:
        return type(error)


def by_type(reply, asked=None):
    rows = ROWS["platform"]
    read = rows.reader(Filters())
    return rows_of(platform_page(reply), rows.kind, lambda one: read(one, asked=asked or {}))


def results_by_type(reply):
    rows = ROWS["reference"]
    page = ReferencePages().page(Filters(), Slice(DAY, DAY), 1, None).read(reply)
    return rows_of(page, rows.kind, rows.reader(Filters()))


def written(**members):
    """JSON as Python writes it, with NaN, Infinity and half a surrogate pair."""
    return json.dumps(members).encode()


@given(often(st.lists(often(conversations), max_size=3)), asked)
def test_a_conversation_with_anything_anywhere_gives_the_row_it_always_gave(listed, asked):
    reply = a_reply(written(conversations=listed, totalHits=3))

    assert outcome(by_type, reply, asked) == outcome(rows_of_platform, reply, asked)


@given(often(st.lists(often(results), max_size=3)))
def test_a_result_of_r4_with_anything_anywhere_gives_the_row_it_always_gave(listed):
    reply = a_reply(written(results=listed, nextPageToken="p2"))

    assert outcome(results_by_type, reply) == outcome(rows_of_reference, reply)


@given(st.data())
@pytest.mark.parametrize(
    ("body", "new", "old"),
    [(PLATFORM, by_type, rows_of_platform), (REFERENCE, results_by_type, rows_of_reference)],
)
def test_a_reply_that_was_cut_or_changed_on_its_way_is_read_or_refused_as_before(
    body, new, old, data
):
    place = data.draw(st.integers(0, len(body) - 1))
    length = data.draw(st.integers(0, 3) | st.just(len(body)))
    put = data.draw(st.binary(max_size=3) | st.sampled_from([b"\\", b'"', b"NaN", b"1e999", b"{}"]))
    reply = a_reply(body[:place] + put + body[place + length :])

    assert outcome(new, reply) == outcome(old, reply)


ONE = json.loads(PLATFORM)["conversations"][0]
ODD_BODIES = {
    "sample": PLATFORM,
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "not JSON": b"<html>",
    "with a byte order mark": codecs.BOM_UTF8 + PLATFORM,
    "UTF-16": PLATFORM.decode().encode("utf-16"),
    "latin-1": PLATFORM.replace(b"Mobile Number", "Jos\u00e9".encode("latin-1")),
    "latin-1 in a member that is read": PLATFORM.replace(b'"inbound"', b'"in\xe9"'),
    "a number that no double holds": PLATFORM.replace(b"163900", b"1e999"),
    "a number of more digits than Python reads": PLATFORM.replace(b"163900", b"9" * 5000),
    "a member twice": PLATFORM.replace(b'"value": 163900', b'"value": 1, "value": 163900'),
    "nested deeply": written(conversations=[ONE | {"more": json.loads("[" * 400 + "]" * 400)}]),
}


@pytest.mark.parametrize("charset", ["", "; charset=iso-8859-1"])
@pytest.mark.parametrize("name", ODD_BODIES)
def test_a_body_is_read_as_it_always_was(name, charset):
    reply = a_reply(ODD_BODIES[name], content_type=f"application/json{charset}")

    assert outcome(by_type, reply) == outcome(rows_of_platform, reply)


def test_a_length_of_more_digits_than_a_double_holds_is_none_and_costs_no_page():
    """The first reader found the whole page unreadable."""
    [row] = by_type(a_reply(PLATFORM.replace(b"163900", b"9" * 400)))

    assert (row.talk_ms, row.hold_ms) == (0, 6_100)


@pytest.mark.parametrize("status", [200, 202, 204, 404, 429, 500])
def test_a_reply_without_a_body_means_what_it_always_meant(status):
    reply = a_reply(b"", status)

    assert outcome(by_type, reply) == outcome(rows_of_platform, reply)


def test_what_is_no_object_is_no_conversation_and_what_has_no_id_is_counted():
    page = platform_page(a_reply(b'{"conversations": [ 1, null, [], "x", {}, { "a": 1}]}'))

    assert len(page.entries) == 2
    assert page.conversations == [{}, {"a": 1}]


def test_a_conversation_that_a_stricter_type_does_not_take_is_unreadable():
    page = platform_page(a_reply(b'{"conversations": [{}]}'))

    with pytest.raises(Unreadable):
        list(page.read_by(int))
