"""From an outcome to SQS: when a message comes back, and what ends its retries."""

import asyncio
import json
from random import Random

import pytest

from tests.intake.doubles import a_failure, a_lease, a_message, a_source, about
from worker.clients.aws.errors import QueueError
from worker.intake.acks import Acks
from worker.intake.dead_letter_limit import DeadLetterLimit
from worker.intake.dead_letters import DeadLetters
from worker.intake.leases import LEASE_LOST, Leases
from worker.intake.outcome import (
    DONE,
    RELEASED,
    Attempts,
    Blocked,
    DeadLetter,
    Retry,
    backoff_seconds,
)
from worker.intake.settlement import OWN_FAILURES, Memory, Settlement
from worker.settings import Retry as RetrySettings

HOUR = 3600
DOWN = Retry(a_failure("down"))


class FakeQueue:
    """Notes what it is given; refuses what is sent to other queues when asked to."""

    url = "https://sqs/events"

    def __init__(self):
        self.hidden = {}
        self.deleted = []
        self.sent = []
        self.refuses = None

    async def delete(self, receipts):
        self.deleted += receipts
        return [None] * len(receipts)

    async def change_visibility(self, entries):
        self.hidden |= dict(entries)
        return [None] * len(entries)

    async def send_to(self, url, **message):
        if self.refuses:
            raise QueueError("send_message", self.refuses)
        self.sent.append(message)


class Rig:
    """A settlement over a queue that only takes notes; `age` is what SQS's clock says."""

    def __init__(self, loop, age=0.0, dead_letters="https://sqs/dead"):
        self.queue = FakeQueue()
        self.clock = loop.time
        self.source = a_source(age=age)
        self.leases = Leases(self.queue, self.source, visibility_seconds=30, clock=self.clock)
        self.acks = Acks(self.queue, self.leases, flush_seconds=0.01, random=Random(1))
        self.idle_seconds = 0.0
        self.limit = DeadLetterLimit(50, lambda _: (0, 0.0), self.clock, Random(1))
        self.settlement = Settlement(
            self.acks,
            DeadLetters(self.queue, dead_letters),
            Memory(Attempts(), self.limit, lambda _: self.idle_seconds),
            RetrySettings(),
            Random(1),
        )

    async def settle(self, outcome, message_id="m", *, at=None, receives=1):
        """Settle a message that was just received; return for how long it is hidden, if it is."""
        at = self.clock() if at is None else at
        message = a_message(message_id, receives=receives, at=at, sent_at=1.0)
        lease = self.leases.hold([message])[0]
        lease.about = about("voice")
        await self.settlement(lease, outcome)
        await self.acks.close()
        return self.queue.hidden.get(message.receipt)

    @property
    def records(self):
        found = [sent["MessageAttributes"]["worker.failure"] for sent in self.queue.sent]
        return [json.loads(one["StringValue"]) for one in found]


@pytest.fixture
def rig():
    return lambda **over: Rig(asyncio.get_running_loop(), **over)


@pytest.mark.looptime
async def test_age_alone_ends_no_retries(rig):
    rig = rig(age=24 * HOUR)

    for _ in range(OWN_FAILURES - 1):
        assert await rig.settle(DOWN) > 0

    assert rig.queue.sent == []


@pytest.mark.looptime
async def test_after_eight_failures_of_its_own_and_the_horizon_a_message_is_dead_lettered(rig):
    rig = rig(age=6 * HOUR + 1)

    for _ in range(OWN_FAILURES):
        await rig.settle(DOWN)

    [record] = rig.records
    assert record["reason"] == "retry horizon passed; last: down"
    assert record["attempts"] == OWN_FAILURES
    assert len(rig.queue.deleted) == 1


@pytest.mark.looptime
async def test_past_its_horizon_a_message_is_retried_while_its_job_has_done_no_other(rig):
    rig = rig(age=12 * HOUR)
    rig.idle_seconds = 12 * HOUR

    for _ in range(40):
        await rig.settle(DOWN)

    assert rig.queue.sent == []


@pytest.mark.looptime
async def test_at_twice_its_horizon_a_message_is_dead_lettered_though_its_job_did_no_other(rig):
    rig = rig(age=12 * HOUR + 1)
    rig.idle_seconds = 12 * HOUR

    for _ in range(OWN_FAILURES):
        await rig.settle(DOWN)

    assert len(rig.records) == 1


@pytest.mark.looptime
async def test_past_its_horizon_a_message_waits_twice_as_long_between_its_retries(rig):
    rig = rig(age=6 * HOUR + 1)
    rig.idle_seconds = 12 * HOUR

    waits = [await rig.settle(DOWN, f"m{number}", receives=30) for number in range(200)]

    assert 900 <= min(waits) < max(waits) <= 1800


@pytest.mark.looptime
async def test_any_number_of_failures_within_the_horizon_ends_nothing(rig):
    rig = rig(age=6 * HOUR - 1)

    for _ in range(40):
        await rig.settle(DOWN)

    assert rig.queue.sent == []


@pytest.mark.looptime
async def test_failures_that_are_not_its_own_end_nothing_at_any_age(rig):
    rig = rig(age=24 * HOUR)

    for _ in range(40):
        await rig.settle(Retry(a_failure("429"), own=False))
        await rig.settle(Blocked(a_failure("blocked")))

    assert rig.queue.sent == []


@pytest.mark.looptime
async def test_receives_that_another_process_used_up_end_nothing(rig):
    rig = rig(age=24 * HOUR)

    assert await rig.settle(DOWN, receives=49) > 0

    assert rig.queue.sent == []


@pytest.mark.parametrize("attempt", range(1, 60))
def test_half_of_a_backoff_is_fixed_and_the_other_half_random(attempt):
    random, longest = Random(attempt), min(900, 5 * 2.0 ** (attempt - 1))
    draws = [backoff_seconds(attempt, base=5, cap=900, random=random) for _ in range(300)]

    assert min(draws) >= longest / 2
    assert max(draws) <= longest
    assert max(draws) - min(draws) > longest * 0.4


def test_a_message_that_only_fails_is_received_at_most_45_times_in_six_hours():
    most = 0
    for seed in range(200):
        random, passed, receives = Random(seed), 0.0, 0
        while passed < 6 * HOUR:
            receives += 1
            passed += backoff_seconds(receives, base=5, cap=900, random=random)
        most = max(most, receives)

    assert most <= 45


@pytest.mark.looptime
async def test_an_asked_pause_is_obeyed_where_it_is_longer_than_the_backoff(rig):
    assert 600 <= await rig().settle(Retry(a_failure("429"), 600)) <= 601


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("age", "least", "most"),
    [(0, 60, 75), (59, 60, 75), (300, 240, 300), (900, 720, 900), (6 * HOUR, 720, 900)],
)
async def test_a_blocked_message_is_hidden_for_as_long_again_as_it_waited(age, least, most, rig):
    rig = rig(age=age)

    seconds = [await rig.settle(Blocked(a_failure()), f"m{number}") for number in range(50)]

    assert least <= min(seconds) < max(seconds) <= most


@pytest.mark.looptime
async def test_nothing_is_hidden_beyond_twelve_hours_from_its_receive(rig):
    rig = rig()
    at = asyncio.get_running_loop().time()
    await asyncio.sleep(11.9 * HOUR)

    seconds = await rig.settle(Retry(a_failure(), 900), at=at)

    assert 0 < seconds <= 0.1 * HOUR


@pytest.mark.looptime
@pytest.mark.parametrize("refusal", ["AccessDenied", "AWS.SimpleQueueService.NonExistentQueue"])
async def test_what_the_dead_letter_queue_refuses_is_never_deleted(refusal, rig):
    rig = rig()
    rig.queue.refuses = refusal

    for number in range(200):
        assert await rig.settle(DeadLetter(a_failure()), f"m{number}") == 60

    assert rig.queue.deleted == []
    assert rig.settlement.dead_letters.problem is not None


@pytest.mark.looptime
async def test_without_a_dead_letter_queue_nothing_is_deleted(rig):
    rig = rig(dead_letters=None)

    assert await rig.settle(DeadLetter(a_failure())) == 60

    assert rig.queue.deleted == []
    assert rig.settlement.dead_letters.problem == "SQS_DEAD_LETTER_QUEUE_URL is not set"


@pytest.mark.looptime
async def test_a_dead_letter_queue_that_is_back_takes_all_that_it_refused(rig):
    """Refused letters are none: the limit must not be reached by them."""
    rig = rig()
    rig.queue.refuses = "AccessDenied"
    for _ in range(10):
        for number in range(10):
            await rig.settle(DeadLetter(a_failure()), f"m{number}")
    rig.queue.refuses = None

    for number in range(10):
        await rig.settle(DeadLetter(a_failure()), f"m{number}")

    assert len(rig.queue.sent) == len(rig.queue.deleted) == 10


@pytest.mark.looptime
@pytest.mark.parametrize("outcome", [DONE, DOWN, Blocked(a_failure()), DeadLetter(a_failure())])
async def test_a_lost_lease_leaves_nothing_to_say(outcome, rig):
    rig = rig()
    lease = rig.leases.hold([a_message()])[0]
    lease.why_cancelled = LEASE_LOST
    rig.leases.forget(lease)

    await rig.settlement(lease, outcome)
    await rig.acks.close()

    assert (rig.queue.hidden, rig.queue.deleted, rig.queue.sent) == ({}, [], [])


@pytest.mark.looptime
async def test_what_was_never_begun_is_visible_at_once(rig):
    assert await rig().settle(RELEASED) == 0


@pytest.mark.looptime
async def test_beyond_the_limit_a_dead_letter_stays_on_the_queue_hidden(rig):
    rig = rig()

    seconds = [await rig.settle(DeadLetter(a_failure()), f"m{n}") for n in range(60)]

    assert len(rig.queue.sent) == len(rig.queue.deleted) == 50
    assert all(55 <= one <= 86 for one in seconds[50:])


def test_a_lease_says_for_how_long_it_is_held():
    lease = a_lease(a_message(at=100.0), clock=lambda: 110.0, visibility=30)

    assert lease.seconds_left() == 20


@pytest.mark.looptime
async def test_a_hidden_message_comes_back_unrun_unless_it_is_its_turn_or_the_gate_probes(rig):
    rig = rig()
    for number in range(52):
        await rig.settle(DeadLetter(a_failure("bad")), f"m{number}")
    back = rig.leases.hold([a_message("m51", receives=2, at=rig.clock())])[0]

    hidden = rig.settlement.defers_again(back)
    back.probe = True

    assert 50 < hidden.seconds < 90
    assert rig.settlement.defers_again(back) is None
    back.probe = False
    await asyncio.sleep(60)
    assert rig.settlement.defers_again(back) is None
    assert rig.settlement.defers_again(back) is not None
