"""The limit per cause: a bad deploy dead-letters some sixty messages, and holds up nothing else."""

from tests.intake.doubles import Limit, a_failure
from worker.intake import dead_letter_limit
from worker.intake.dead_letter_limit import (
    AHEAD_SECONDS,
    CAUSES,
    DEFERRED_CAP,
    IDLE_SECONDS,
    SPREAD_SECONDS,
)

BAD = a_failure("bad")


def reach(limit, failure=BAD, letters=50, prefix="m"):
    """Let as many be dead-lettered as may, and the next one be hidden."""
    for number in range(letters):
        assert limit.fail(f"{prefix}{number}", failure) is None
    assert limit.fail(f"{prefix}-first-hidden", failure) is not None


def hide(limit, count, failure=BAD):
    for number in range(count):
        limit.fail(f"h{number}", failure)


def test_fifty_of_one_cause_are_dead_lettered_and_no_more():
    limit = Limit()

    held = [limit.fail(f"m{number}", BAD) for number in range(400)]

    assert held.count(None) == 50
    assert held[:50] == [None] * 50


def test_causes_do_not_share_a_limit():
    limit = Limit()
    reach(limit)

    assert limit.fail("x", a_failure("another")) is None
    assert limit.fail("y", a_failure("bad", job="workflow")) is None


def test_time_alone_refills_nothing():
    limit = Limit()
    for number in range(50):
        limit.fail(f"m{number}", BAD)

    limit.clock.now += 86_400

    assert limit.fail("next", BAD) is not None


def test_one_more_may_go_for_every_ten_that_the_job_has_done_since():
    limit = Limit()
    limit.done("voice", 1000)  # before the cause was met: they say nothing of it
    for number in range(50):
        limit.fail(f"m{number}", BAD)
    limit.done("voice", 30)

    held = [limit.fail(f"n{number}", BAD) for number in range(10)]

    assert held.count(None) == 3


def test_what_another_job_does_counts_for_no_limit():
    limit = Limit()
    for number in range(50):
        limit.fail(f"m{number}", BAD)
    limit.done("workflow", 1000)

    assert limit.fail("next", BAD) is not None


def test_for_bodies_that_cannot_be_opened_all_jobs_count():
    limit, unreadable = Limit(), a_failure("not JSON", job=None)
    for number in range(50):
        limit.fail(f"m{number}", unreadable)
    limit.done("voice", 10)
    limit.done("workflow", 10)

    held = [limit.fail(f"n{number}", unreadable) for number in range(10)]

    assert held.count(None) == 2


def test_one_tries_after_1_2_4_8_and_then_every_15_minutes():
    limit = Limit()
    reach(limit)
    hide(limit, 3)

    for minutes in (1, 2, 4, 8, 15, 15):
        limit.clock.now += minutes * 60 - 1
        assert limit.limit.defer_again("h0") is not None
        limit.clock.now += 1
        assert limit.limit.defer_again("h1") is None  # it runs
        assert limit.limit.defer_again("h1") is not None
        assert limit.limit.defer_again("h2") is not None
        assert limit.fail("h1", BAD) is not None


def test_a_message_that_failed_by_no_cause_at_its_limit_runs():
    limit = Limit()
    reach(limit)

    assert limit.limit.defer_again("healthy") is None
    assert limit.limit.defer_again("m0") is None  # dead-lettered, and moved back by hand


def test_one_that_tried_in_vain_is_dead_lettered_if_its_job_did_ten_since():
    limit = Limit()
    reach(limit)
    hide(limit, 2)
    limit.done("voice", 10)
    limit.clock.now += 60

    assert limit.limit.defer_again("h0") is None
    assert limit.fail("h1", BAD) is not None  # it was in flight, and did not try
    assert limit.fail("h0", BAD) is None


def test_a_night_of_a_bad_deploy_dead_letters_no_more_than_an_hour_of_it():
    limit, letters = Limit(), 0
    for second in range(8 * 3600):
        letters += limit.fail(f"{second}", BAD) is None
        limit.clock.now += 1

    assert letters == 50


def test_an_hour_of_a_bad_deploy_dead_letters_fifty():
    limit, letters = Limit(), 0
    for second in range(3600):
        for number in range(5):
            letters += limit.fail(f"{second}.{number}", BAD) is None
        limit.clock.now += 1

    assert letters == 50


def test_a_hidden_message_comes_back_when_one_may_try_and_not_before():
    limit = Limit()
    reach(limit)

    limit.clock.now += 20

    assert 40 <= limit.fail("next", BAD) <= 40 + AHEAD_SECONDS + SPREAD_SECONDS


def test_one_comes_back_ahead_of_the_others_to_try():
    """Those that come while it runs are deferred to the next try, a quarter of an hour away."""
    limit = Limit()
    for number in range(50):
        limit.fail(f"m{number}", BAD)
    first, *others = [limit.fail(f"h{number}", BAD) for number in range(20)]
    assert first == 61
    assert all(60 + AHEAD_SECONDS <= one <= 60 + AHEAD_SECONDS + SPREAD_SECONDS for one in others)

    limit.clock.now += first
    assert limit.limit.defer_again("h0") is None
    assert limit.fail("h0", BAD) == 121  # and again ahead of the next

    limit.clock.now += AHEAD_SECONDS
    assert limit.limit.defer_again("h1") >= 120


def test_none_is_hidden_longer_than_a_quarter_of_an_hour_and_its_spread():
    limit = Limit()
    reach(limit)
    for _ in range(8):
        limit.clock.now += 901
        limit.fail("tries", BAD)

    assert limit.fail("next", BAD) <= 900 + AHEAD_SECONDS + SPREAD_SECONDS


def test_the_success_of_one_that_failed_by_the_cause_ends_it():
    limit = Limit()
    reach(limit)

    limit.done("voice", message_id="m-first-hidden")

    assert [limit.fail(f"again {n}", BAD) for n in range(50)] == [None] * 50
    assert limit.fail("and then", BAD) is not None


def test_the_success_of_any_other_message_ends_nothing():
    limit = Limit()
    reach(limit)

    limit.done("voice", 1000, message_id="healthy")

    assert limit.fail("next", BAD) is not None
    assert [job for _, job, _ in limit.limit.reached()] == ["voice"]


def test_a_success_ends_the_limit_of_the_cause_by_which_the_message_failed_last():
    limit, other = Limit(), a_failure("other")
    reach(limit)
    reach(limit, other, prefix="o")
    limit.fail("twice", BAD)
    limit.fail("twice", other)

    limit.done("voice", message_id="twice")

    assert [reason for reason, _, _ in limit.limit.reached()] == ["bad"]


def test_letters_that_the_dead_letter_queue_refused_are_none():
    limit = Limit()
    for number in range(500):
        assert limit.fail(f"m{number}", BAD) is None
        limit.limit.not_sent(BAD)

    assert limit.limit.dead_letters() == []
    assert list(limit.limit.reached()) == []


def test_the_gate_closes_only_with_500_hidden_and_a_job_that_did_nothing_for_a_minute():
    limit = Limit()
    limit.done("voice")
    reach(limit)
    hide(limit, DEFERRED_CAP - 2)
    limit.clock.now += IDLE_SECONDS - 1
    assert limit.limit.gate("voice") is None

    hide(limit, DEFERRED_CAP)
    assert limit.limit.gate("voice") is None  # it did something 59 s ago
    limit.clock.now += 1

    opens_at, why = limit.limit.gate("voice")
    assert opens_at > limit.clock.now - 60
    assert why == "dead-letter limit reached for: bad"
    assert limit.limit.gate("workflow") is None


def test_a_job_that_does_something_again_opens_its_gate():
    limit = Limit()
    reach(limit)
    hide(limit, DEFERRED_CAP)
    limit.clock.now += IDLE_SECONDS
    assert limit.limit.gate("voice") is not None

    limit.done("voice")

    assert limit.limit.gate("voice") is None


def test_a_closed_gate_lets_one_try_every_5_to_60_seconds():
    limit = Limit()
    reach(limit)
    hide(limit, DEFERRED_CAP - 1)

    pauses = []
    for number in range(6):
        limit.fail(f"tries {number}", BAD)
        opens_at, _ = limit.limit.gate("voice")
        pauses.append(opens_at - limit.clock.now)
        limit.clock.now = opens_at

    assert pauses == [5, 10, 20, 40, 60, 60]


def test_bodies_that_cannot_be_opened_close_no_gate():
    limit, unreadable = Limit(), a_failure("not JSON", job=None)
    reach(limit, unreadable)
    hide(limit, DEFERRED_CAP * 2, unreadable)
    limit.clock.now += IDLE_SECONDS

    assert limit.limit.gate("voice") is None


def test_causes_and_hidden_messages_are_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(dead_letter_limit, "REMEMBERED", 700)
    limit = Limit(most=1)
    reach(limit, letters=1)
    hide(limit, 5000)
    for number in range(CAUSES + 500):
        cause = a_failure(f"cause {chr(97 + number % 26)}{number}")
        limit.fail(f"a{number}", cause)
        limit.fail(f"b{number}", cause)  # all of them are at their limits

    inside = limit.limit
    assert len(inside._causes) <= CAUSES
    assert len(inside._cause_of) <= CAUSES + 700
    assert set(inside._cause_of.values()) <= set(inside._causes)


def test_a_new_cause_has_its_limit_though_all_others_are_at_theirs():
    limit = Limit(most=2)
    for number in range(CAUSES):
        cause = a_failure(f"cause {chr(97 + number % 26)}{number}")
        for copy in range(3):
            limit.fail(f"{number}.{copy}", cause)

    held = [limit.fail(f"new {number}", BAD) for number in range(5)]

    assert held.count(None) == 2
