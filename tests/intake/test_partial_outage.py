"""One handler's upstream is down for minutes of virtual time, another handler is free."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from tests.factories import a_conversation_ended, a_reference_body, a_voice_scored
from worker.app.intake import WAITING_SHARE
from worker.demo.sqs.faults import Slow
from worker.intake.outcome import Failure, Retry
from worker.intake.waiting_room import CLOSING_SECONDS
from worker.resilience.breaker import PROBES_TO_CLOSE

VOICE = 100
MAX_RECEIVES = 5
OUTAGES = [1200, 3600]


@pytest.fixture
def free(recorder):
    return recorder()


@pytest.fixture
def queue(sqs, dead_letters):
    """A queue that redrives at five receives."""
    arn = sqs.arn(dead_letters)
    policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{MAX_RECEIVES}}}'
    return sqs.create_queue("events", VisibilityTimeout="30", RedrivePolicy=policy)


def send_blocked(sqs, queue, count=VOICE):
    events = [a_voice_scored() for _ in range(count)]
    ids = {sqs.send(queue, a_reference_body(e).decode()): e.conversation_id for e in events}
    return list(ids), sorted(ids.values())


async def keep_sending(sqs, queue, seconds, every=5):
    """Send what the free handler wants, all the time."""
    for _ in range(int(seconds / every)):
        sqs.send(queue, a_reference_body(a_conversation_ended()).decode())
        await asyncio.sleep(every)


@pytest.mark.looptime
@pytest.mark.parametrize("outage_seconds", OUTAGES)
async def test_a_partial_outage_parks_nothing_and_holds_up_no_other(
    outage_seconds, sqs, queue, dead_letters, genesys, handler, free, start
):
    keys, ids = send_blocked(sqs, queue)
    genesys.fail_with("data_action", 503)

    async with start(beside=free, SQS_WAIT_SECONDS=20, SQS_DRAIN_SECONDS=25):
        await keep_sending(sqs, queue, outage_seconds)
        meanwhile = len(free.seen)
        asked_at = [a.at for a in genesys.arrivals if a.endpoint == "data_action"]
        genesys.heal("data_action")
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 300)

    receives = Counter(sqs.journal.receives[key] for key in keys)
    assert sum(sqs.depth(dead_letters)) == 0
    assert sorted(handler.seen) == ids
    assert meanwhile >= outage_seconds / 5 - 1
    assert max(receives) <= (MAX_RECEIVES if outage_seconds > 1200 else 3)
    assert max(b - a for a, b in pairwise(asked_at)) < 90


@pytest.mark.looptime
async def test_what_is_hidden_for_an_upstream_is_shown_again_by_a_drain(
    sqs, queue, genesys, handler, free, start
):
    send_blocked(sqs, queue)
    genesys.fail_with("data_action", 503)

    async with start(beside=free) as intake:
        await asyncio.sleep(60)
        hidden = sqs.depth(queue).in_flight
        told = intake.parts.room.hidden
        await intake.drain()

    assert (hidden, sqs.depth(queue).visible) == (VOICE, VOICE)
    assert told == {"voice": VOICE - PROBES_TO_CLOSE}


@pytest.mark.looptime
async def test_showing_what_is_hidden_ends_though_sqs_is_down(
    sqs, queue, genesys, handler, free, start
):
    send_blocked(sqs, queue)
    genesys.fail_with("data_action", 503)

    async with start(beside=free) as intake:
        await asyncio.sleep(60)
        sqs.faults.add("ChangeMessageVisibilityBatch", Slow(60))
        began = asyncio.get_running_loop().time()
        await intake.parts.room.aclose()
        assert asyncio.get_running_loop().time() - began <= CLOSING_SECONDS + 1
        sqs.faults.clear()


@pytest.mark.looptime
async def test_one_failure_hides_nothing_for_long(sqs, queue, genesys, handler, free, start):
    _, ids = send_blocked(sqs, queue, 1)
    genesys.fail_with("data_action", 503, 3)

    async with start(beside=free):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 120)

    assert handler.seen == ids


async def test_two_successes_at_once_call_back_what_two_handlers_hid(
    sqs, queue, start_intake, recorder
):
    for event in (a_voice_scored(), a_conversation_ended()):
        sqs.send(queue, a_reference_body(event).decode())
    everybody = asyncio.Barrier(3)

    async def work():
        await everybody.wait()
        await asyncio.Event().wait()

    async with start_intake(recorder(work), beside=recorder(work), SQS_CONCURRENCY=2) as intake:
        await asyncio.wait_for(everybody.wait(), 60)
        room = intake.parts.room
        for lease, handler in zip(intake.leases, ("voice", "beside"), strict=True):
            failure = Failure("down", "Unavailable", "fingerprint", handler)
            room.remember(lease, Retry(failure, outage=True), 600)
        await asyncio.gather(room.call_back(), room.call_back())

        assert room.hidden == {}
        assert sqs.depth(queue).visible == 2
        await intake.drain(0)


@pytest.mark.looptime
async def test_what_waits_in_hand_leaves_slots_to_others(sqs, queue, genesys, handler, free, start):
    send_blocked(sqs, queue)
    genesys.fail_with("data_action", 503)

    async with start(beside=free, SQS_CONCURRENCY=4) as intake:
        await asyncio.sleep(60)
        staying = intake.parts.room._staying.total()

    assert staying == 4 // WAITING_SHARE
