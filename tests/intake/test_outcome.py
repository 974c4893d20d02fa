from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import (
    BreakerOpen,
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from worker.intake.outcome import (
    Blocked,
    DeadLetter,
    Done,
    Failure,
    Retry,
    backoff_seconds,
    outcome_of,
    worst,
)

FAILURE = Failure("why", "Unavailable", "0" * 12)


@pytest.mark.parametrize(
    ("error", "own", "outage"),
    [
        (Unavailable("down"), True, True),
        (Unreadable("html"), True, True),
        (NotYet("soon"), True, False),
        (RateLimited("slow"), False, False),
        (KeyError("x"), True, False),
    ],
)
def test_what_fails_is_retried_and_says_whether_the_message_is_to_blame(error, own, outage):
    outcome = outcome_of(error)

    assert isinstance(outcome, Retry)
    assert (outcome.own, outcome.outage) == (own, outage)


@pytest.mark.parametrize(
    "error",
    [
        BreakerOpen("open", retry_after=3),
        Misconfigured("no such action", setting="GENESYS_ACTION_ID", remedy="set it"),
        Unauthorized("refused"),
    ],
)
def test_a_job_that_cannot_run_blames_no_message(error):
    assert isinstance(outcome_of(error), Blocked)


@pytest.mark.parametrize("error", [Permanent("no id"), Rejected("no", status=400)])
def test_a_permanent_error_dead_letters_with_its_reason(error):
    outcome = outcome_of(error, job="voice")

    assert isinstance(outcome, DeadLetter)
    assert (outcome.failure.reason, outcome.failure.job) == (error.reason, "voice")


def test_the_asked_wait_is_kept():
    assert outcome_of(RateLimited("429", retry_after=7)).after == 7


def test_a_foreign_error_is_named_by_class_and_place_and_never_by_its_text():
    failure = outcome_of(LookupError("+15550100001")).failure

    assert "5550100001" not in repr(failure)
    assert "unforeseen LookupError" in failure.reason


def test_equal_causes_share_a_fingerprint_and_jobs_separate_them():
    one = outcome_of(Permanent("no id"), job="voice").failure
    same = outcome_of(Permanent("no id"), job="voice").failure
    other = outcome_of(Permanent("no id"), job="workflow").failure

    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_ids_in_a_reason_make_no_cause_of_their_own():
    one, other = (
        outcome_of(Permanent(f"genesys: 400 bad.request {context}"), job="voice").failure
        for context in (
            "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
            "ffffffff-4e5f-4a6b-8c7d-111111111111",
        )
    )
    another = outcome_of(Permanent("genesys: 404 bad.request -"), job="voice").failure

    assert one.fingerprint == other.fingerprint != another.fingerprint


def test_retry_comes_before_blocked_dead_letter_and_done():
    retry, blocked, dead = Retry(FAILURE, after=3), Blocked(FAILURE), DeadLetter(FAILURE)

    assert worst([Done(), dead, blocked, retry]) is retry
    assert worst([Done(), dead, blocked]) is blocked
    assert worst([Done(), dead]) is dead
    assert worst([Done(), Done()]) == Done()
    assert worst([]) == Done()


def test_of_several_retries_the_soonest_counts():
    soon, late = Retry(FAILURE, after=3), Retry(FAILURE, after=300)

    assert worst([late, soon]) is soon


@given(attempt=st.integers(1, 10**9), seed=st.integers())
def test_half_of_the_backoff_is_fixed_and_its_cap_holds(attempt, seed):
    longest = min(900, 5 * 2.0 ** min(attempt - 1, 64))

    seconds = backoff_seconds(attempt, base=5, cap=900, random=Random(seed))

    assert longest / 2 <= seconds <= longest
