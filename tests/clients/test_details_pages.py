"""What is sent for a page of details and how the recorded replies are read."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.support.genesys import DAY, OTHER_QUEUE, QUEUE, a_day
from worker.clients.genesys.details_query import PlatformPages, ReferencePages, Slice
from worker.clients.genesys.filters import CONVERSATION_DIMENSIONS, Condition, Filters
from worker.clients.http_types import Reply
from worker.errors import Misconfigured, Permanent, RateLimited, Unavailable
from worker.jobs.reports.reader import HOUR, filters_of

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
WHOLE = Slice(DAY, DAY + 24 * HOUR)


def asked(due, dialect=None, number=1, token=None):
    return (dialect or PlatformPages()).page(filters_of(due), WHOLE, number, token).request.json


def read(dialect, body, status=200):
    reply = Reply(status=status, body=body, received_at=datetime.now(UTC))
    return dialect.page(Filters(), WHOLE, 1, None).read(reply)


def sample(name):
    return (SAMPLES / name).read_bytes()


def matches(dimension, *values):
    return [
        {"type": "dimension", "dimension": dimension, "operator": "matches", "value": value}
        for value in values
    ]


def test_the_platform_query_has_the_form_of_the_recorded_request():
    recorded = orjson.loads(sample("platform/details_query_request.json"))

    body = asked(a_day(media_type="voice"))

    assert body["segmentFilters"] == recorded["segmentFilters"]
    assert body["paging"] == recorded["paging"]
    assert (body["order"], body["orderBy"]) == (recorded["order"], recorded["orderBy"])
    assert body["interval"] == "2026-03-01T00:00:00.000Z/2026-03-02T00:00:00.000Z"


def test_live_conversations_are_asked_for_too_so_that_they_can_be_counted():
    assert "conversationFilters" not in asked(a_day())


def test_queues_are_alternatives():
    (one,) = asked(a_day(queue_ids=(QUEUE, OTHER_QUEUE)))["segmentFilters"]

    assert one == {"type": "or", "predicates": matches("queueId", QUEUE, OTHER_QUEUE)}


def test_further_filters_go_where_their_dimension_belongs():
    inbound = Condition("originatingDirection", ("inbound",))
    body = asked(a_day(filters=(inbound, Condition("userId", ("u",)))))

    (whole,), (segment,) = body["conversationFilters"], body["segmentFilters"]
    assert whole["predicates"] == matches("originatingDirection", "inbound")
    assert segment["predicates"] == matches("userId", "u")


@pytest.mark.parametrize("name", sorted(CONVERSATION_DIMENSIONS))
def test_a_dimension_of_the_conversation_is_no_segment_filter(name):
    body = asked(a_day(filters=(Condition(name, ("a", "b"), "in"),)))

    (one,) = body["conversationFilters"]
    assert one == {"type": "or", "predicates": matches(name, "a", "b")}
    assert "segmentFilters" not in body


@pytest.mark.parametrize(
    ("name", "kind", "where"),
    [
        ("tTalk", "metric", "conversationFilters"),
        ("tConversationDuration", "metric", "conversationFilters"),
        ("tSegmentDuration", "metric", "segmentFilters"),
        ("mediaStatsMinConversationMos", "dimension", "conversationFilters"),
    ],
)
@pytest.mark.parametrize(("operator", "number"), [("gt", 60_000), ("lt", 3.5)])
def test_more_or_less_than_a_number_is_a_range(name, kind, where, operator, number):
    body = asked(a_day(filters=(Condition(name, (str(number),), operator),)))

    (one,) = body[where]
    assert one["predicates"] == [{"type": kind, kind: name, "range": {operator: number}}]


def test_what_the_platform_cannot_filter_by_is_refused_by_name():
    with pytest.raises(Permanent, match="no operator contains"):
        asked(a_day(filters=(Condition("ani", ("555",), "contains"),)))


@pytest.mark.parametrize(
    ("condition", "value", "operator"),
    [
        (Condition("tTalk", ("5.5",), "gt"), 5.5, "gt"),
        (Condition("ani", ("555",), "contains"), "555", "contains"),
        (Condition("userId", ("a",), "eq"), "a", "eq"),
        (Condition("userId", ("a", "b"), "eq"), ["a", "b"], "in"),
        (Condition("userId", ("a",), "in"), ["a"], "in"),
    ],
)
def test_each_operator_has_its_simple_filter_in_r4(condition, value, operator):
    body = asked(a_day(filters=(condition,)), ReferencePages())

    wanted = {"type": "simple", "path": condition.name, "value": value, "operator": operator}
    assert body["filter"] == [wanted]


def test_pages_of_the_platform_are_asked_for_by_number():
    assert asked(a_day(), number=7)["paging"] == {"pageSize": 100, "pageNumber": 7}


def test_the_reference_query_has_the_form_of_r4():
    body = asked(a_day(media_type="voice", queue_ids=(QUEUE,)), ReferencePages())

    assert set(body) == {"query", "interval", "groupBy", "metrics", "filter"}
    assert body["query"]["timeRange"] == {
        "start": "2026-03-01T00:00:00Z",
        "end": "2026-03-02T00:00:00Z",
    }
    assert body["filter"] == [
        {
            "type": "simple",
            "path": "conversation.media.type",
            "value": "voice",
            "operator": "eq",
        },
        {"type": "simple", "path": "routing.queue.id", "value": [QUEUE], "operator": "in"},
    ]


def test_pages_of_the_reference_are_asked_for_by_token():
    assert asked(a_day(), ReferencePages(), token="p2")["pageToken"] == "p2"


def test_the_recorded_platform_reply_is_one_conversation_of_one():
    page = read(PlatformPages(), sample("platform/details_query_response.json"))

    assert (len(page.conversations), page.total, page.token) == (1, 1, None)


def test_the_recorded_reference_reply_names_the_next_page():
    page = read(ReferencePages(), sample("reference/report_page.json"))

    assert (len(page.conversations), page.total, page.token) == (1, None, "p2")


def test_an_empty_platform_page_may_omit_its_conversations():
    assert read(PlatformPages(), b'{"totalHits":0}').conversations == []


def test_a_full_page_that_does_not_say_how_many_there_are_is_not_taken_for_the_last():
    """Its report would lack all the others, and say that it is complete."""
    one = orjson.loads(sample("platform/details_query_response.json"))["conversations"][0]
    body = orjson.dumps({"conversations": [one, one]})

    assert len(read(PlatformPages(page_size=3), body).conversations) == 2
    with pytest.raises(Unavailable):
        read(PlatformPages(page_size=2), body)


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (429, "platform/error_429.json", RateLimited),
        (403, "platform/error_403.json", Misconfigured),
    ],
)
@pytest.mark.parametrize("dialect", [PlatformPages(), ReferencePages()])
def test_a_refusal_is_what_it_names(dialect, status, name, error):
    with pytest.raises(error):
        read(dialect, sample(name), status)


@pytest.mark.parametrize("dialect", [PlatformPages(), ReferencePages()])
def test_a_gateway_page_is_unavailable(dialect):
    with pytest.raises(Unavailable):
        read(dialect, b"<html>", 504)
