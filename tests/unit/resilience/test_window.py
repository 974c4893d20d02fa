"""The window of calls: its sums are those of its buckets, however time passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.resilience.window import BUCKETS, Tally, Window

CALLS = st.lists(
    st.tuples(st.floats(0, 4, allow_nan=False), st.booleans(), st.booleans()), max_size=60
)


def plain(calls, now, seconds):
    """Sum up call by call."""
    number = int(now // (seconds / BUCKETS))
    counted = [call for call in calls if int(call[0] // (seconds / BUCKETS)) > number - BUCKETS]
    return Tally(
        calls=len(counted),
        failed=sum(failed for _, failed, _ in counted),
        slow=sum(slow for _, _, slow in counted),
    )


@given(CALLS)
def test_the_sums_are_those_of_the_calls_within_the_window(calls):
    window, now, made = Window(10), 0.0, []
    for pause, failed, slow in calls:
        now += pause
        window.add(now, failed=failed, slow=slow)
        made.append((now, failed, slow))

        assert window.tally(now) == plain(made, now, 10)


@pytest.mark.parametrize("later", [10, 1000])
def test_what_is_older_than_the_window_does_not_count(later):
    window = Window(10)
    window.add(0, failed=True, slow=True)

    assert window.tally(later) == Tally()
