from worker.domain.result import Result
from worker.intake.history import History
from worker.intake.ledger import MemoryLedger
from worker.intake.unrouted import UnroutedTypes
from worker.telemetry import metrics


async def test_the_ledger_forgets_its_oldest_beyond_its_size():
    ledger, runs = MemoryLedger(size=2), []

    async def run():
        runs.append(1)
        return Result.OK

    for key in "abcda":
        assert await ledger.once("voice", key, run) is Result.OK
    for key in "cda":
        assert await ledger.once("voice", key, run) is Result.DUPLICATE
    assert len(runs) == 5


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


def test_a_message_that_was_given_back_untried_is_known_until_it_is_done():
    history = History()
    history.gave_back("m")

    assert history.knows("m")
    history.forget("m")
    assert not history.knows("m")
