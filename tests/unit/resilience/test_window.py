"""The window of calls: its sums are those of the latest calls of its messages, as time passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.resilience import breaker as windows
from worker.resilience.breaker import BUCKETS, Tally, Window

CALLS = st.lists(
    st.tuples(
        st.floats(0, 4, allow_nan=False),
        st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True),
        st.booleans(),
    ),
    max_size=60,
)


def plain(calls, now, seconds):
    """Sum up call by call."""
    number = int(now // (seconds / BUCKETS))
    counted = [call for call in calls if int(call[0] // (seconds / BUCKETS)) > number - BUCKETS]
    latest = {message: failed for _, messages, failed in counted for message in messages}
    return Tally(len(counted), len(latest), sum(latest.values()))


@given(CALLS)
def test_a_message_counts_once_by_its_latest_call_within_the_window(calls):
    window, now, made = Window(10), 0.0, []
    for pause, messages, failed in calls:
        now += pause
        window.add(now, messages, failed=failed)
        made.append((now, messages, failed))

        assert window.tally(now) == plain(made, now, 10)


@pytest.mark.parametrize("later", [10, 1000])
def test_what_is_older_than_the_window_does_not_count(later):
    window = Window(10)
    window.add(0, ["a"], failed=True)

    assert window.tally(later) == Tally()


def test_memory_is_bounded_and_the_latest_messages_are_those_that_count(monkeypatch):
    monkeypatch.setattr(windows, "MOST_MESSAGES", 3)
    window = Window(10)

    for number in range(100):
        window.add(0, [number], failed=number < 98)

    assert window.tally(0) == Tally(calls=100, messages=3, failing=1)
