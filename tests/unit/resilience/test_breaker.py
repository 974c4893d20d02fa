"""The circuit breaker: when it opens, whom it lets probe, what it ignores."""

from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from structlog.testing import capture_logs

from worker.errors import BreakerOpen
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.work import Work, working_for
from worker.telemetry import metrics

POLICY = BreakerPolicy(
    window_seconds=30,
    min_calls=10,
    failure_ratio=0.5,
    open_seconds=5,
    max_open_seconds=30,
)


class Rig:
    """A breaker, its clock, and words for what tests do with them."""

    def __init__(self, upstream="crm", *, seed=7, **over):
        self.now = 1000.0
        self.breaker = Breaker(
            upstream, replace(POLICY, **over), clock=lambda: self.now, random=Random(seed)
        )

    def permit(self, *messages, **over):
        """Ask on behalf of messages; for none of them, as a command does."""
        with working_for([Work(message, "voice", **over) for message in messages]):
            return self.breaker.permit()

    def succeed(self, times=1, *messages, **over):
        for _ in range(times):
            self.permit(*messages, **over).succeeded()

    def fail(self, times=1, *messages, **over):
        for _ in range(times):
            self.permit(*messages, **over).failed()

    def open(self):
        for _ in range(10):
            if self.breaker.state == "closed":
                self.fail()
        assert self.breaker.state == "open"

    def open_and_wait(self):
        self.open()
        self.now += self.breaker.retry_after()
        assert self.breaker.state == "half_open"


@pytest.fixture
def rig():
    return Rig()


def test_breaker_opens_when_half_of_enough_calls_failed(rig):
    rig.succeed(5)
    rig.fail(5)

    assert rig.breaker.state == "open"


def test_breaker_stays_closed_when_few_calls_failed_however_badly(rig):
    rig.fail(9)

    assert rig.breaker.state == "closed"


def test_breaker_stays_closed_when_under_half_of_the_calls_failed(rig):
    for _ in range(50):
        rig.succeed(3)
        rig.fail(2)

    assert rig.breaker.state == "closed"


def test_one_message_that_always_fails_opens_nothing_however_often_it_tries(rig):
    rig.fail(1000, "bad")

    assert rig.breaker.state == "closed"


def test_two_messages_that_always_fail_open_nothing_and_a_third_does(rig):
    rig.fail(10, "bad")
    rig.fail(10, "worse")
    assert rig.breaker.state == "closed"

    rig.fail(1, "third")

    assert rig.breaker.state == "open"


def test_a_message_counts_by_its_latest_call(rig):
    for message in "abc":
        rig.fail(2, message)
        rig.succeed(1, message)
    rig.fail(1, "d")

    assert rig.breaker.state == "closed"


def test_few_failing_messages_among_many_healthy_ones_open_nothing_however_often_they_try(rig):
    for message in ("h1", "h2", "h3", "h4", "h5", "h6"):
        rig.succeed(1, message)
    for _ in range(20):
        for message in ("one", "two", "three", "four", "five"):
            rig.fail(3, message)

    assert rig.breaker.state == "closed"


def test_failed_call_of_a_batch_is_a_failure_of_each_message_in_it_and_one_call(rig):
    rig.fail(9, "a", "b", "c", "d")
    assert rig.breaker.state == "closed"

    rig.fail(1, "a", "b", "c", "d")

    assert rig.breaker.state == "open"


def test_calls_for_no_message_count_as_one_message_each(rig):
    rig.fail(10)

    assert rig.breaker.state == "open"


def test_failures_older_than_the_window_do_not_count(rig):
    rig.fail(9)
    rig.now += 30
    rig.fail(9)

    assert rig.breaker.state == "closed"


def test_open_breaker_refuses_and_says_when_it_will_probe(rig):
    rig.open()

    with pytest.raises(BreakerOpen) as refused:
        rig.breaker.permit()

    assert refused.value.retry_after == rig.breaker.retry_after()
    assert 4 <= (refused.value.retry_after or 0) <= 5


def test_state_reads_half_open_once_the_pause_is_over_without_any_call(rig):
    rig.open()

    rig.now += 5

    assert rig.breaker.state == "half_open"
    assert rig.breaker.retry_after() == 0


def test_half_open_breaker_lets_one_of_a_hundred_callers_probe(rig):
    rig.open_and_wait()

    permits = []
    for _ in range(100):
        try:
            permits.append(rig.breaker.permit())
        except BreakerOpen as refused:
            assert refused.retry_after == 5  # noqa: PT017  the loop is the test

    assert len(permits) == 1


def test_two_good_probes_close_and_one_does_not(rig):
    rig.open_and_wait()

    rig.succeed()
    after_one = rig.breaker.state
    rig.succeed()

    assert (after_one, rig.breaker.state) == ("half_open", "closed")


def test_good_probe_of_an_earlier_round_does_not_count_in_the_next(rig):
    rig.open_and_wait()
    rig.succeed()
    rig.fail()
    rig.now += rig.breaker.retry_after()

    rig.succeed()

    assert rig.breaker.state == "half_open"


def test_closed_again_breaker_has_forgotten_the_old_failures(rig):
    rig.open_and_wait()
    rig.succeed(2)

    rig.fail(9)

    assert rig.breaker.state == "closed"


def test_pause_doubles_with_each_failed_probe_up_to_the_longest(rig):
    rig.open()

    pauses = []
    for _ in range(7):
        pauses.append(rig.breaker.retry_after())
        rig.now += pauses[-1]
        rig.fail()

    for pause, longest in zip(pauses, [5, 10, 20, 30, 30, 30, 30], strict=True):
        assert longest * 0.8 <= pause <= longest


def test_replicas_do_not_probe_in_step():
    rigs = [Rig(seed=seed) for seed in range(10)]

    for rig in rigs:
        rig.open()

    assert len({rig.breaker.retry_after() for rig in rigs}) == 10


def test_pause_starts_short_again_after_the_breaker_closed(rig):
    rig.open_and_wait()
    rig.fail()
    rig.now += rig.breaker.retry_after()
    rig.succeed(2)

    rig.open()

    assert rig.breaker.retry_after() <= 5


def test_half_open_breaker_lets_only_messages_through_that_were_chosen_to_probe(rig):
    rig.open_and_wait()

    with pytest.raises(BreakerOpen) as refused:
        rig.permit("m")

    assert refused.value.retry_after == 5
    assert rig.permit("m", probe=True)


def test_two_queues_may_probe_at_once_and_a_command_does_not_join_another_command(rig):
    rig.open_and_wait()

    assert rig.permit("m", probe=True)
    assert rig.permit("n", probe=True)
    assert rig.permit()
    with pytest.raises(BreakerOpen):
        rig.permit()


def test_batch_passes_a_half_open_breaker_when_one_of_it_was_chosen_to_probe(rig):
    rig.open_and_wait()
    with working_for([Work("a", "voice"), Work("b", "voice", probe=True)]):
        assert rig.breaker.permit()


@pytest.mark.parametrize("before", ["in an earlier run", "at this breaker"])
def test_failed_probe_of_a_message_that_failed_before_neither_lengthens_the_pause(rig, before):
    if before == "at this breaker":
        rig.fail(1, "m")
    reported = {"failed_before": before == "in an earlier run", "probe": True}
    rig.open_and_wait()

    for _ in range(5):
        rig.fail(1, "m", **reported)
        assert 4 <= rig.breaker.retry_after() <= 5
        rig.now += rig.breaker.retry_after()


def test_nor_does_it_reset_the_count_of_good_probes(rig):
    rig.open_and_wait()
    rig.succeed(1, "good", probe=True)
    rig.fail(1, "bad", probe=True, failed_before=True)
    rig.now += rig.breaker.retry_after()

    rig.succeed(1, "better", probe=True)

    assert rig.breaker.state == "closed"


def test_failed_probe_of_a_batch_says_something_when_one_of_it_had_not_failed(rig):
    rig.open_and_wait()
    with working_for([Work("a", "v", probe=True, failed_before=True), Work("b", "v")]):
        rig.breaker.permit().failed()

    assert 8 <= rig.breaker.retry_after() <= 10


def test_message_that_succeeded_since_counts_as_one_that_had_not_failed(rig):
    rig.fail(1, "m")
    rig.succeed(1, "m")
    rig.open_and_wait()

    rig.fail(1, "m", probe=True)

    assert 8 <= rig.breaker.retry_after() <= 10


def test_probes_that_end_after_the_breaker_closed_are_calls_like_others(rig):
    rig.open_and_wait()
    permits = [rig.permit(str(number), probe=True) for number in range(20)]

    for permit in permits[:2]:
        permit.succeeded()
    for permit in permits[2:11]:
        permit.failed()
    assert rig.breaker.state == "closed"
    permits[11].failed()

    assert rig.breaker.state == "open"


def test_probe_that_the_upstream_rejects_counts_as_good(rig):
    rig.open_and_wait()

    rig.breaker.permit().alive()
    rig.breaker.permit().alive()

    assert rig.breaker.state == "closed"


def test_rejections_are_not_weighed_while_closed(rig):
    for _ in range(100):
        rig.breaker.permit().alive()

    rig.fail(10)

    assert rig.breaker.state == "open"


def test_neutral_probe_frees_its_place_without_a_result(rig):
    rig.open_and_wait()

    for _ in range(5):
        rig.breaker.permit().neutral()

    assert rig.breaker.state == "half_open"
    assert rig.breaker.permit()


def test_permit_left_without_a_result_frees_the_probe(rig):
    rig.open_and_wait()

    with rig.breaker.permit():
        pass

    assert rig.breaker.permit()


def test_a_hundred_neutral_calls_leave_the_state(rig):
    rig.succeed(5)
    rig.fail(4)

    for _ in range(100):
        rig.breaker.permit().neutral()

    assert rig.breaker.state == "closed"
    rig.fail()
    assert rig.breaker.state == "open"


def test_only_the_first_result_of_a_permit_counts(rig):
    rig.succeed(5)
    permit = rig.breaker.permit()

    for _ in range(10):
        permit.failed()

    assert rig.breaker.state == "closed"


def test_success_of_a_call_begun_before_the_opening_does_not_close(rig):
    old = [rig.breaker.permit() for _ in range(5)]
    rig.open_and_wait()

    for permit in old:
        permit.succeeded()

    assert rig.breaker.state == "half_open"


def test_failure_of_a_call_begun_before_the_opening_does_not_weigh_after_it(rig):
    old = [rig.breaker.permit() for _ in range(50)]
    rig.open_and_wait()
    rig.succeed(2)

    for permit in old:
        permit.failed()

    assert rig.breaker.state == "closed"


def test_confirm_refuses_a_permit_from_before_the_opening(rig):
    permit = rig.breaker.permit()
    rig.breaker.confirm(permit)
    rig.open()

    with pytest.raises(BreakerOpen):
        rig.breaker.confirm(permit)


def test_disabled_breaker_lets_every_call_through():
    rig = Rig(enabled=False)

    rig.fail(1000)

    assert rig.breaker.state == "closed"


def test_changes_of_state_are_logged_and_counted():
    rig = Rig("breaker-metrics")

    with capture_logs() as logs:
        rig.open_and_wait()
        state_then = _sample("worker_breaker_state", dependency="breaker-metrics")
        rig.succeed(2)

    assert [(line["event"], line["upstream"]) for line in logs] == [
        ("breaker_opened", "breaker-metrics"),
        ("breaker_half_open", "breaker-metrics"),
        ("breaker_closed", "breaker-metrics"),
    ]
    assert state_then == 1
    assert _sample("worker_breaker_state", dependency="breaker-metrics") == 0
    for to in ("open", "half_open", "closed"):
        assert _sample("worker_breaker_transitions_total", dependency="breaker-metrics", to=to) == 1


def _sample(name, **labels):
    return metrics.REGISTRY.get_sample_value(name, labels)


class AnyHistory(RuleBasedStateMachine):
    """Calls begin, end in any order and any way, and time passes."""

    def __init__(self):
        super().__init__()
        self.rig = Rig("model", min_calls=3)
        self.running = []  # (permit, number of openings when it began, is it a probe)
        self.openings = 0
        self.before = "closed"

    @rule(seconds=st.sampled_from([0.5, 3.0, 5.0, 31.0, 60.0]))
    def time_passes(self, seconds):
        self.rig.now += seconds
        self.note(allowed={"closed": "closed", "open": "open half_open", "half_open": "half_open"})

    @rule()
    def call_begins(self):
        state = self.rig.breaker.state
        probing = any(probe and at == self.openings for _, at, probe in self.running)
        try:
            permit = self.rig.breaker.permit()
        except BreakerOpen as refused:
            assert state == "open" or (state == "half_open" and probing)
            assert refused.retry_after  # noqa: PT017  both ends of the try are checked
        else:
            assert state == "closed" or (state == "half_open" and not probing)
            self.running.append((permit, self.openings, state == "half_open"))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), result=st.sampled_from(["good", "failed", "alive", "neutral"]))
    def call_ends(self, data, result):
        index = data.draw(st.integers(min_value=0, max_value=len(self.running) - 1))
        permit, began_at, probe = self.running.pop(index)
        {
            "good": permit.succeeded,
            "failed": permit.failed,
            "alive": permit.alive,
            "neutral": permit.neutral,
        }[result]()
        if began_at != self.openings or result == "neutral":
            self.note(allowed={state: state for state in ("closed", "open", "half_open")})
        elif probe:
            bad = result == "failed"
            self.note(allowed={"half_open": "open" if bad else "half_open closed"})
        else:
            self.note(allowed={"closed": "closed open"})

    def note(self, allowed):
        after = self.rig.breaker.state
        assert after in allowed[self.before].split()
        self.openings += after == "open" and self.before != "open"
        self.before = after

    @invariant()
    def closed_means_no_wait(self):
        wait = self.rig.breaker.retry_after()
        assert wait > 0 if self.rig.breaker.state == "open" else wait in (0, 5)


TestAnyHistory = AnyHistory.TestCase
