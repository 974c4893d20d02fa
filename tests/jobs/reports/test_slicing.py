from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.clients.genesys.details_query import Slice
from worker.errors import Permanent
from worker.jobs.reports.reader import DAY, HOUR, MAX_DAYS, day_slices, hour_slices

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

moments = st.datetimes(datetime(2024, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone
lengths = st.timedeltas(timedelta(seconds=1), timedelta(days=60))


@given(moments, lengths)
def test_days_cover_the_interval_once_and_end_at_midnight(start, length):
    parts = day_slices(start, start + length)

    assert parts[0].start == start
    assert parts[-1].end == start + length
    assert all(one.end == other.start for one, other in pairwise(parts))
    assert all(part.end.time().isoformat() == "00:00:00" for part in parts[:-1])
    assert all(timedelta(0) < part.end - part.start <= DAY for part in parts)


@given(moments, st.timedeltas(timedelta(seconds=1), DAY))
def test_hours_cover_a_day_once(start, length):
    parts = hour_slices(Slice(start, start + length))

    assert parts[0].start == start
    assert parts[-1].end == start + length
    assert all(one.end == other.start for one, other in pairwise(parts))
    assert all(part.end - part.start <= HOUR for part in parts)


def test_days_are_those_of_utc_whatever_the_offset_of_the_interval():
    plus_two = timezone(timedelta(hours=2))
    start = datetime(2026, 3, 2, 1, tzinfo=plus_two)

    assert [part.start for part in day_slices(start, start + HOUR * 2)] == [
        datetime(2026, 3, 1, 23, tzinfo=UTC),
        datetime(2026, 3, 2, 0, tzinfo=UTC),
    ]


def test_an_hour_is_not_cut_any_more():
    hour = Slice(NOON, NOON + HOUR)

    assert hour_slices(hour) == [hour]


@pytest.mark.parametrize("length", [timedelta(0), -HOUR, (MAX_DAYS + 1) * DAY])
def test_an_interval_that_is_empty_backwards_or_endless_is_refused(length):
    with pytest.raises(Permanent):
        day_slices(NOON, NOON + length)
