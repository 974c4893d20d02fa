import pytest

from worker.intake.history import History
from worker.intake.ledger import Claim, MemoryLedger
from worker.intake.unrouted import UnroutedTypes
from worker.telemetry import metrics


def test_work_that_ended_well_is_done_the_next_time():
    ledger = MemoryLedger()

    with ledger.claim("voice", "k") as first:
        assert first is Claim.MINE
    with ledger.claim("voice", "k") as second:
        assert second is Claim.DONE


def test_work_that_failed_may_be_claimed_again():
    ledger = MemoryLedger()

    with pytest.raises(RuntimeError), ledger.claim("voice", "k"):
        raise RuntimeError
    with ledger.claim("voice", "k") as again:
        assert again is Claim.MINE


def test_a_copy_is_busy_while_its_twin_is_under_way():
    ledger = MemoryLedger()

    with ledger.claim("voice", "k"), ledger.claim("voice", "k") as twin:
        assert twin is Claim.BUSY


def test_the_same_event_is_other_work_for_another_handler():
    ledger = MemoryLedger()

    with ledger.claim("voice", "k"):
        pass
    with ledger.claim("workflow", "k") as other:
        assert other is Claim.MINE


def test_the_ledger_forgets_its_oldest_beyond_its_size():
    ledger = MemoryLedger(size=2)
    for key in "abc":
        with ledger.claim("voice", key):
            pass

    with ledger.claim("voice", "a") as oldest:
        assert oldest is Claim.MINE


def test_attempts_are_counted_apart_from_receives():
    history = History()
    history.failed("m", receive_count=1, now=10)

    attempts = history.failed("m", receive_count=40, now=20)

    assert (attempts.count, attempts.first_failure, attempts.last_failure) == (2, 10, 20)


def test_a_message_unknown_here_counts_from_its_receives():
    assert History().failed("m", receive_count=6, now=10).count == 6


def test_an_unrouted_type_is_logged_once_a_minute_and_always_counted(capsys):
    now = [0.0]
    types = UnroutedTypes(lambda: now[0])
    before = metrics.messages_unrouted._value.get()

    for now[0] in (0.0, 1.0, 59.0, 61.0):
        types.seen("v2.unknown")

    assert capsys.readouterr().out.count("event_unrouted") == 2
    assert metrics.messages_unrouted._value.get() - before == 4
