"""A queue of two jobs: one has an upstream that is down for hours of virtual time."""

import asyncio
from collections import Counter

import pytest

from tests.support.factories import a_conversation_ended, a_reference_body, a_voice_scored

VOICE = 100


@pytest.fixture
def free(recorder):
    return recorder()


@pytest.fixture
def queue(sqs, dead_letters):
    return sqs.create_queue("events", VisibilityTimeout="30")


def send_blocked(sqs, queue, count=VOICE):
    events = [a_voice_scored() for _ in range(count)]
    ids = {sqs.send(queue, a_reference_body(e).decode()): e.conversation_id for e in events}
    return list(ids), sorted(ids.values())


async def keep_sending(sqs, queue, seconds, every=5):
    """Send what the free job wants, all the time."""
    for _ in range(int(seconds / every)):
        sqs.send(queue, a_reference_body(a_conversation_ended()).decode())
        await asyncio.sleep(every)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("outage_seconds", "messages", "most_receives"), [(1200, VOICE, 9), (7200, 10, 18)]
)
async def test_a_blocked_job_is_hidden_for_as_long_again_as_it_waited_and_holds_up_no_other(
    outage_seconds, messages, most_receives, sqs, queue, dead_letters, genesys, handler, free, start
):
    keys, ids = send_blocked(sqs, queue, messages)
    genesys.fail_with("data_action", 503)

    async with start(beside=free, SQS_WAIT_SECONDS=20, SQS_DRAIN_SECONDS=25):
        await keep_sending(sqs, queue, outage_seconds, every=60)
        meanwhile = len(free.seen)
        genesys.heal("data_action")
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1200)

    receives = Counter(sqs.journal.receives[key] for key in keys)
    assert sum(sqs.depth(dead_letters)) == 0
    assert sorted(handler.seen) == ids
    assert meanwhile >= outage_seconds / 60 - 1
    assert max(receives) <= most_receives


@pytest.mark.looptime
async def test_one_failure_hides_nothing_for_long(sqs, queue, genesys, handler, free, start):
    _, ids = send_blocked(sqs, queue, 1)
    genesys.fail_with("data_action", 503, 3)

    async with start(beside=free):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 120)

    assert handler.seen == ids


@pytest.mark.looptime
async def test_a_blocked_job_of_a_shared_queue_takes_no_permit_while_it_waits(
    sqs, queue, genesys, handler, free, start
):
    send_blocked(sqs, queue)
    genesys.fail_with("data_action", 503)

    async with start(beside=free, SQS_CONCURRENCY=4) as intake:
        await asyncio.sleep(60)
        for _ in range(20):
            sqs.send(queue, a_reference_body(a_conversation_ended()).decode())
        began = asyncio.get_running_loop().time()
        await sqs.wait_until(lambda: len(free.seen) == 20, 60)

        assert asyncio.get_running_loop().time() - began < 5
        assert "voice" not in [work.job for work in intake.parts.delivery.running]
