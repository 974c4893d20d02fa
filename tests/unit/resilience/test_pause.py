"""A pause that an upstream asked for: how long it holds, and who finds out if it still does."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from worker.resilience.retry import AskedPause

YEAR = 31_536_000.0


def test_a_short_pause_is_obeyed_as_it_was_asked_for_and_needs_no_trial():
    pause = AskedPause(900)

    assert pause.ask(0, 30) == 30

    assert (pause.left(10), pause.asked(10)) == (20, (20, 30))
    assert not pause.begin_trial(30)
    assert pause.asked(30) is None


def test_a_long_one_is_obeyed_up_to_the_cap_and_remembered_as_it_was_asked_for():
    pause = AskedPause(900)

    assert pause.ask(0, YEAR) == 900

    assert pause.asked(100) == (800, YEAR)
    assert pause.asked(2000) == (0, YEAR)


def test_one_call_tries_after_the_cap_while_others_wait():
    pause = AskedPause(900)
    pause.ask(0, YEAR)

    assert pause.begin_trial(900)

    assert not pause.begin_trial(901)
    assert pause.left(901) > 0


def test_a_trial_that_is_refused_for_a_shorter_time_is_believed():
    pause = AskedPause(900)
    pause.ask(0, YEAR)
    pause.begin_trial(900)

    pause.ask(901, 30)

    assert pause.asked(901) == (30, 30)
    assert not pause.begin_trial(931)


class AnyHistory(RuleBasedStateMachine):
    """Replies ask for pauses, calls try, time passes."""

    def __init__(self):
        super().__init__()
        self.pause, self.now = AskedPause(900), 0.0

    @rule(seconds=st.sampled_from([0.0, 1.0, 59.0, 60.0, 900.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(seconds=st.sampled_from([0.0, 0.5, 30.0, 900.0, 901.0, YEAR]))
    def asked_for(self, seconds):
        assert self.pause.ask(self.now, seconds) == min(seconds, 900)

    @precondition(lambda self: not self.pause.left(self.now))
    @rule(answered=st.booleans())
    def call_is_made(self, answered):
        if self.pause.begin_trial(self.now):
            assert self.pause.left(self.now)
            self.pause.end_trial(self.now, answered=answered)
            assert not self.pause.left(self.now)

    @invariant()
    def no_pause_is_longer_than_the_cap(self):
        assert self.pause.left(self.now) <= 900


TestAnyHistory = AnyHistory.TestCase
