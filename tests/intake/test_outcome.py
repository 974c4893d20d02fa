from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import BreakerOpen, NotYet, Permanent, RateLimited, Rejected, Unavailable
from worker.intake.outcome import Done, Failure, Park, Retry, backoff_seconds, outcome_of, worst

FAILURE = Failure("why", "Unavailable", "0" * 12)


@pytest.mark.parametrize(
    "error",
    [Unavailable("down"), NotYet("soon"), RateLimited("slow"), BreakerOpen("open"), KeyError("x")],
)
def test_everything_but_a_permanent_error_is_retried(error):
    assert isinstance(outcome_of(error), Retry)


@pytest.mark.parametrize("error", [Permanent("no id"), Rejected("no", status=400)])
def test_a_permanent_error_parks_with_its_reason(error):
    outcome = outcome_of(error, handler="voice")

    assert isinstance(outcome, Park)
    assert (outcome.failure.reason, outcome.failure.handler) == (error.reason, "voice")


def test_the_asked_wait_is_kept():
    assert outcome_of(RateLimited("429", retry_after=7)).after == 7


def test_a_foreign_error_is_told_by_class_and_place_and_never_by_its_text():
    failure = outcome_of(LookupError("+15550100001")).failure

    assert "5550100001" not in repr(failure)
    assert "unforeseen LookupError" in failure.reason


def test_equal_causes_share_a_fingerprint_and_handlers_part_them():
    one = outcome_of(Permanent("no id"), handler="voice").failure
    same = outcome_of(Permanent("no id"), handler="voice").failure
    other = outcome_of(Permanent("no id"), handler="workflow").failure

    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_retry_comes_before_park_and_park_before_done():
    retry, park = Retry(FAILURE, after=3), Park(FAILURE)

    assert worst([Done(), park, retry]) is retry
    assert worst([Done(), park]) is park
    assert worst([Done(), Done()]) == Done()
    assert worst([]) == Done()


def test_of_several_retries_the_soonest_counts():
    soon, late = Retry(FAILURE, after=3), Retry(FAILURE, after=300)

    assert worst([late, soon]) is soon


@given(attempt=st.integers(1, 10**9), seed=st.integers())
def test_the_backoff_stays_between_its_base_and_its_cap(attempt, seed):
    assert 5 <= backoff_seconds(attempt, base=5, cap=900, random=Random(seed)) <= 900
