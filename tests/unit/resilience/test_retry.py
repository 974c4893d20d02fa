"""Backoff, Retry-After and the retry budget."""

from datetime import UTC, datetime
from math import isfinite
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.resilience.retry import (
    LONGEST_PAUSE_SECONDS,
    RetryBudget,
    full_jitter,
    parse_retry_after,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@given(
    attempt=st.integers(min_value=1, max_value=10**9),
    base=st.floats(min_value=0.001, max_value=1e300),
    cap=st.floats(min_value=0.001, max_value=1e300),
    seed=st.integers(),
)
def test_pause_stays_between_zero_and_the_cap_for_any_attempt(attempt, base, cap, seed):
    pause = full_jitter(attempt, base=base, cap=cap, random=Random(seed))

    assert 0 <= pause <= cap


@given(attempt=st.integers(min_value=1, max_value=30), seed=st.integers())
def test_pause_stays_under_the_doubled_base_before_the_cap_is_reached(attempt, seed):
    pause = full_jitter(attempt, base=0.5, cap=1e12, random=Random(seed))

    assert 0 <= pause <= 0.5 * 2 ** (attempt - 1)


def test_pauses_fill_the_whole_range_so_that_callers_come_back_apart():
    random = Random(1)

    pauses = [full_jitter(3, base=1, cap=900, random=random) for _ in range(1000)]

    assert min(pauses) < 0.1
    assert max(pauses) > 3.9


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("86400", 86400),
        ("1.5", 1.5),
        ("Fri, 20 Nov 2026 12:00:42 GMT", 42),
        ("Fri, 20 Nov 2026 13:00:42 +0100", 42),
        ("Fri, 20 Nov 2026 12:00:42 -0000", 42),
        ("Fri Nov 20 12:00:42 2026", 42),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_in_both_forms(header, seconds):
    assert parse_retry_after(header, now=NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [None, "", "abc", "-1", "1.", ".5", "1e3", "nan", "\u0667", "\u00b2"],
)
def test_retry_after_that_cannot_be_read_is_none(header):
    assert parse_retry_after(header, now=NOW) is None


@pytest.mark.parametrize(
    "header", ["9" * 5000, "1795730782", "31622401", "Fri, 31 Dec 9999 23:59:59 GMT"]
)
def test_retry_after_of_more_than_a_year_is_read_as_a_year(header):
    assert parse_retry_after(header, now=NOW) == LONGEST_PAUSE_SECONDS


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z]{3}, \d+ [A-Za-z]{3} \d+ \d+:\d+:\d+ .*")))
def test_any_retry_after_is_none_or_finite_seconds_that_are_not_negative(header):
    seconds = parse_retry_after(header, now=NOW)

    assert seconds is None or (seconds >= 0 and isfinite(seconds))


def test_retries_of_an_outage_end_when_the_budget_is_exhausted():
    budget = RetryBudget(clock=lambda: 0.0)

    granted = sum(budget.spend() for _ in range(100))

    assert granted == RetryBudget.CAPACITY


def test_successes_earn_a_tenth_of_a_retry_each():
    budget = RetryBudget(clock=lambda: 0.0)
    while budget.spend():
        pass

    for _ in range(31):
        budget.earn()

    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


def test_a_long_calm_saves_up_no_more_than_the_capacity():
    budget = RetryBudget(clock=lambda: 0.0)

    for _ in range(10_000):
        budget.earn()

    assert sum(budget.spend() for _ in range(100)) == RetryBudget.CAPACITY


def test_a_quiet_worker_earns_a_retry_by_time_alone():
    now = [0.0]
    budget = RetryBudget(clock=lambda: now[0])
    while budget.spend():
        pass

    now[0] = 1 / RetryBudget.FLOOR_PER_SECOND

    assert [budget.spend(), budget.spend()] == [True, False]


@given(st.lists(st.sampled_from(["earn", "spend"]), max_size=300))
def test_retries_never_exceed_the_capacity_and_a_tenth_of_the_successes(steps):
    budget = RetryBudget(clock=lambda: 0.0)

    retries = successes = 0
    for step in steps:
        if step == "earn":
            budget.earn()
            successes += 1
        else:
            retries += budget.spend()

    assert retries <= RetryBudget.CAPACITY + RetryBudget.SHARE * successes + 1e-6
