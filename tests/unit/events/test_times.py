from datetime import UTC, datetime, timedelta

import pytest

from tests.support.factories import NOON, a_body, a_leg_body, an_id
from tests.support.reading import Events, open_events
from worker.errors import Permanent

EMITTED = datetime(2026, 3, 2, 12, 0, 1, 500_000, tzinfo=UTC)
START = "v2.detail.events.conversation.{id}.customer.start"


def opened(body):
    return open_events(body, Events())


def only(body):
    (event,) = opened(body)
    return event


def leg(**fields):
    return a_leg_body(START, **fields)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03-02T12:00:00Z", NOON),
        ("2026-03-02T12:00:00", NOON),
        ("2026-03-02T14:00:00+02:00", NOON),
        ("2026-03-02T12:00:00.250Z", NOON + timedelta(milliseconds=250)),
        ("2026-03-02T12:00Z", NOON),
        (1772452800000, NOON),
        (1772452800001, NOON + timedelta(milliseconds=1)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_all_its_forms(written, meant):
    origin = only(leg(eventTime=written)).origin

    assert origin.occurred_at == meant
    assert origin.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        *("yesterday", "2026-03-02", "2026-13-02T12:00:00Z", "2026-03-02T12:00:60Z", "٢٠٢٦", ""),
        *("1969-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *(True, 1772452800000.0, -1, 2**63, [], {}),
    ],
    ids=repr,
)
def test_a_time_that_is_none_gives_way_to_when_genesys_emitted_the_event(written):
    assert only(leg(eventTime=written)).origin.occurred_at == EMITTED


def test_a_leg_without_a_time_happened_when_genesys_emitted_it():
    occurred_at = only(leg(eventTime=None)).origin.occurred_at

    assert occurred_at == EMITTED


def test_an_event_without_any_time_is_refused():
    with pytest.raises(Permanent, match=r"^time: missing, or not a time$"):
        opened(a_body("voice.analytics", {"conversationId": an_id()}, time=None))
