from datetime import UTC, datetime

import orjson
import pytest

from tests.support.factories import a_body
from tests.support.reading import Events, open_events
from worker.clients.genesys.filters import Condition
from worker.errors import Permanent


def opened(body):
    return open_events(body, Events())


def only(body):
    (event,) = opened(body)
    return event


def due(*, time="2026-03-02T10:15:31Z", **detail):
    return a_body("report.due", {"name": "daily"} | detail, time=time)


def test_a_period_of_a_day_is_the_last_whole_one():
    report = only(due(period="day"))

    assert (report.start, report.end) == (
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 3, 2, tzinfo=UTC),
    )


def test_a_period_of_an_hour_is_the_last_whole_one():
    report = only(due(period="hour", time="2026-03-02T00:00:00Z"))

    assert (report.start, report.end) == (
        datetime(2026, 3, 1, 23, tzinfo=UTC),
        datetime(2026, 3, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("timezone", "time", "period", "start", "end"),
    [
        ("Europe/Berlin", "2026-03-02T01:00:00Z", "day", "03-01T00+01:00", "03-02T00+01:00"),
        # Still Sunday there, while it is Monday in UTC.
        ("America/New_York", "2026-03-02T02:00:00Z", "day", "02-28T00-05:00", "03-01T00-05:00"),
        ("Europe/Berlin", "2026-03-30T01:00:00Z", "day", "03-29T00+01:00", "03-30T00+02:00"),
        ("Europe/Berlin", "2026-10-26T01:00:00Z", "day", "10-25T00+02:00", "10-26T00+01:00"),
        ("Asia/Kathmandu", "2026-03-02T10:20:00Z", "hour", "03-02T15+05:45", "03-02T16+05:45"),
        ("Europe/Berlin", "2026-10-25T01:10:00Z", "hour", "10-25T02+02:00", "10-25T02+01:00"),
    ],
    ids=["day", "other-date", "23-hours", "25-hours", "quarters", "hour-that-comes-twice"],
)
def test_a_period_is_of_the_time_zone(timezone, time, period, start, end):
    report = only(due(period=period, timezone=timezone, time=time))

    assert report.timezone == timezone
    assert (report.start, report.end) == tuple(
        datetime.fromisoformat(f"2026-{one}") for one in (start, end)
    )


@pytest.mark.parametrize("timezone", ["Berlin", "Europe", "../../etc/passwd", "/etc/localtime", 5])
def test_what_is_no_time_zone_is_refused(timezone):
    with pytest.raises(Permanent, match=r"^detail\.timezone: not an IANA time zone"):
        opened(due(period="day", timezone=timezone))


@pytest.mark.parametrize(
    "filters",
    [
        {"direction": "inbound"},
        [{"dimension": "direction", "value": "inbound"}],
        [{"type": "direction", "value": "inbound"}],
    ],
    ids=["object", "dimension", "type"],
)
def test_filters_are_read_in_all_their_forms(filters):
    (condition,) = only(due(period="day", filters=filters)).filters

    assert condition == Condition("direction", ("inbound",), "eq")


@pytest.mark.parametrize(
    ("entry", "condition"),
    [
        ({"dimension": "queueId", "value": ["a", "b"]}, ("queueId", ("a", "b"), "in")),
        ({"type": "userId", "operator": "in", "value": "u"}, ("userId", ("u",), "in")),
        ({"metric": "tTalk", "operator": "gt", "value": 60000}, ("tTalk", ("60000",), "gt")),
        ({"metric": "tTalk", "operator": "lt", "value": 0.5}, ("tTalk", ("0.5",), "lt")),
        ({"dimension": "ani", "operator": "contains", "value": "5"}, ("ani", ("5",), "contains")),
    ],
)
def test_operators_are_read(entry, condition):
    assert only(due(period="day", filters=[entry])).filters == (Condition(*condition),)


def test_a_report_without_grouping_is_grouped_by_media_type_and_queue():
    assert only(due(period="day")).group_by == ("mediaType", "queueId")


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ({"name": None, "period": "day"}, "detail.name: not text"),
        ({"name": "..", "period": "day"}, "detail.name: not allowed"),
        ({"name": "a/b", "period": "day"}, "detail.name: not allowed"),
        ({"name": "x" * 65, "period": "day"}, "detail.name: not allowed"),
        ({"name": "a\n", "period": "day"}, "detail.name: not allowed"),
        ({}, "detail.interval: missing"),
        ({"period": "week"}, "detail.period: not allowed"),
        ({"interval": "2026-03-01T00:00:00Z"}, "detail.interval: not start/end"),
        ({"interval": "2026-03-01T00:00:00Z/P1D"}, "detail.interval: not a time"),
        (
            {"interval": "2026-03-02T00:00:00Z/2026-03-02T00:00:00Z"},
            "detail.interval: start not before end",
        ),
        (
            {"interval": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z", "period": "day"},
            "detail.period: not allowed beside an interval",
        ),
        ({"period": "day", "queueIds": "q"}, "detail.queueIds: not a list"),
        ({"period": "day", "queueIds": [5]}, "detail.queueIds.0: not a UUID"),
        ({"period": "day", "queueIds": ["../../x"]}, "detail.queueIds.0: not a UUID"),
        ({"period": "day", "filters": [5]}, "detail.filters: not pairs of dimension and value"),
        (
            {"period": "day", "filters": [{"dimension": "a", "operator": "like", "value": "b"}]},
            "detail.filters: not an operator: eq, in, contains, gt, lt",
        ),
        (
            {"period": "day", "filters": [{"metric": "tTalk", "operator": "gt", "value": "b"}]},
            "detail.filters: gt and lt are for numbers",
        ),
        (
            {"period": "day", "filters": {"queueId": []}},
            "detail.filters: not pairs of dimension and value",
        ),
        ({"period": "day", "filters": 5}, "detail.filters: neither an object nor a short list"),
    ],
    ids=str,
)
def test_a_report_that_cannot_be_made_is_refused_by_name(detail, reason):
    with pytest.raises(Permanent) as caught:
        opened(due(**detail))

    assert caught.value.reason == reason


def test_an_empty_media_type_is_none():
    assert only(due(period="day", mediaType="")).media_type is None


def test_a_media_type_of_tomorrow_is_taken():
    assert only(due(period="day", mediaType="Hologram")).media_type == "hologram"


@pytest.mark.parametrize("detail_type", ["Scheduled Event", "report.due"])
def test_an_empty_schedule_is_answered_with_what_to_send(detail_type):
    with pytest.raises(Permanent, match=r"^detail\.name: missing; .*\"period\": \"day\"") as caught:
        opened(a_body(detail_type, {}))

    example = orjson.loads(caught.value.reason.partition("such as ")[2])
    assert only(a_body(detail_type, example)).name == example["name"]


def test_a_detail_that_lacks_only_the_name_is_reported_as_just_that():
    with pytest.raises(Permanent, match=r"^detail\.name: missing$"):
        opened(a_body("Scheduled Event", {"period": "day"}))
