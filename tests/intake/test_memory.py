from worker.intake.outcome import Attempts
from worker.intake.router import Source, Unrouted
from worker.telemetry import metrics


def test_attempts_are_counted_apart_from_receives():
    attempts = Attempts()
    attempts.failed("m", own=True, receive_count=1, now=10)

    attempt = attempts.failed("m", own=False, receive_count=40, now=20)

    assert (attempt.own, attempt.all) == (1, 2)
    assert (attempt.first_failure, attempt.last_failure) == (10, 20)


def test_the_backoff_of_a_message_unknown_here_counts_from_its_receives():
    attempt = Attempts().failed("m", own=True, receive_count=6, now=10)

    assert (attempt.all, attempt.own) == (6, 1)


def test_a_message_that_is_done_is_forgotten():
    attempts = Attempts()
    attempts.failed("m", own=True, receive_count=1, now=10)

    attempts.forget("m")

    assert not attempts.known("m")


def test_an_unrouted_type_is_logged_once_a_minute_and_always_counted(capsys):
    now = [0.0]
    unrouted = Unrouted(
        dead_letter=False,
        jobs_of_type=lambda _: frozenset(),
        half_configured={},
        clock=lambda: now[0],
    )
    before = metrics.messages_unrouted._value.get()
    source = Source("events", "url", frozenset({"voice"}), bound=False, age_seconds=lambda _: 0.0)

    for now[0] in (0.0, 1.0, 59.0, 61.0):
        unrouted.outcome("v2.unknown", source)

    assert capsys.readouterr().out.count("event_unrouted") == 2
    assert metrics.messages_unrouted._value.get() - before == 4
