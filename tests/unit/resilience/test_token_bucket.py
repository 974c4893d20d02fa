"""The token bucket: its schedule of rates, against arithmetic by hand and against any history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.resilience.limiter import TokenBucket


@pytest.fixture
def bucket():
    return TokenBucket(2.0, 4.0, now=100.0)


def drain(bucket, now):
    taken = 0
    while bucket.acquire(now):
        taken += 1
    return taken


def test_a_burst_is_there_at_once_and_no_more(bucket):
    assert drain(bucket, 100.0) == 4


def test_tokens_come_at_the_rate_up_to_the_burst(bucket):
    drain(bucket, 100.0)

    assert drain(bucket, 101.0) == 2
    assert drain(bucket, 200.0) == 4


def test_wait_grows_by_one_interval_with_each_place(bucket):
    drain(bucket, 100.0)

    assert [bucket.wait(100.0, place) for place in (1, 2, 3)] == [0.5, 1.0, 1.5]


def test_pause_leaves_one_call_for_its_end_and_then_the_rate(bucket):
    bucket.pause(100.0, 7)

    assert [bucket.wait(100.0, place) for place in (1, 2)] == [7, 7.5]
    assert not bucket.acquire(106.999)
    assert drain(bucket, 107.0) == 1


def test_longer_pause_stands_when_a_shorter_one_is_asked_for(bucket):
    bucket.pause(100.0, 86400)
    bucket.pause(100.0, 1)

    assert bucket.wait(100.0, 1) == 86400


def test_slow_spell_holds_until_its_end_and_then_the_full_rate(bucket):
    drain(bucket, 100.0)
    bucket.slow(100.0, 0.1, until=110.0)

    assert [bucket.wait(100.0, place) for place in (1, 2, 3)] == [10, 10.5, 11]


def test_stricter_of_two_slow_spells_stands(bucket):
    drain(bucket, 100.0)
    bucket.slow(100.0, 0.0, until=110.0)
    bucket.slow(100.0, 1.0, until=105.0)

    assert bucket.wait(100.0, 1) == 10.5


def test_slow_spell_never_speeds_up(bucket):
    drain(bucket, 100.0)

    bucket.slow(100.0, 50.0, until=110.0)

    assert bucket.wait(100.0, 1) == 0.5


def test_token_released_does_not_swell_the_burst(bucket):
    bucket.refund()

    assert drain(bucket, 100.0) == 4


def test_free_share_is_zero_in_a_pause(bucket):
    bucket.acquire(100.0)
    before = bucket.free(100.0)

    bucket.pause(100.0, 5)

    assert (before, bucket.free(100.0)) == (0.75, 0.0)


STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=40),
        st.sampled_from(["take", "take all", "pause", "slow", "hold"]),
    ),
    max_size=80,
)


@given(
    per_minute=st.floats(min_value=1, max_value=600),
    burst=st.floats(min_value=1, max_value=60),
    steps=STEPS,
)
def test_no_minute_sees_more_grants_than_the_rate_and_the_burst(per_minute, burst, steps):
    now = 5000.0
    bucket = TokenBucket(per_minute / 60, burst, now=now)
    grants = []

    for gap, step in steps:
        now += gap
        match step:
            case "pause":
                bucket.pause(now, gap)
            case "slow":
                bucket.slow(now, per_minute / 600, until=now + 30)
            case "hold":
                bucket.slow(now, 0.0, until=now + gap)
            case _:
                wanted = 1 if step == "take" else 1000
                grants += [now] * sum(bucket.acquire(now) for _ in range(wanted))

    for start in grants:
        in_window = sum(start <= at <= start + 60 for at in grants)
        assert in_window <= per_minute + burst + 1e-3


@given(steps=STEPS, places=st.integers(min_value=1, max_value=50))
def test_wait_is_exact_a_caller_who_waits_that_long_gets_its_token(steps, places):
    now = 5000.0
    bucket = TokenBucket(3.0, 5.0, now=now)
    for gap, step in steps:
        now += gap
        if step == "pause":
            bucket.pause(now, gap)
        elif step in ("slow", "hold"):
            bucket.slow(now, 0.5 if step == "slow" else 0.0, until=now + gap)
        else:
            bucket.acquire(now)

    waits = [bucket.wait(now, place) for place in range(1, places + 1)]
    early = bucket.wait(now + waits[0] * 0.9, 1)
    got = [bucket.acquire(now + wait) for wait in waits]

    assert early == pytest.approx(waits[0] * 0.1, abs=1e-5)
    assert all(got)
