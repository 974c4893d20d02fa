"""The heartbeat beside what else happens to a lease: a queue that hangs, a copy, a last word."""

import asyncio

import pytest

from tests.support.factories import a_reference_body, a_voice_scored
from worker.emulators.sqs.control import HTTP_500, Slow, When
from worker.errors import ConfigurationError, RateLimited

VISIBILITY = 30
BEAT = "ChangeMessageVisibilityBatch"


@pytest.fixture
def queue(sqs):
    return sqs.create_queue("events", VisibilityTimeout=str(VISIBILITY))


class Work:
    """A handler that works for so long, once, and reports when and how it ended."""

    def __init__(self, seconds):
        self.began = asyncio.Event()
        self.ended = asyncio.get_running_loop().create_future()
        self.runs = 0
        self._seconds = seconds

    async def __call__(self):
        self.runs += 1
        self.began.set()
        how = "cancelled"
        try:
            await asyncio.sleep(self._seconds)
            how = "done"
        finally:
            if not self.ended.done():
                self.ended.set_result((how, asyncio.get_running_loop().time()))


def send(sqs, queue):
    return sqs.send(queue, a_reference_body(a_voice_scored()).decode())


@pytest.mark.looptime
async def test_a_run_is_cancelled_before_its_lease_ends_though_the_queue_hangs(
    sqs, queue, start_intake, recorder
):
    sqs.faults.add(BEAT, Slow(3600))
    work = Work(600)
    send(sqs, queue)

    async with start_intake(recorder(work), SQS_CONCURRENCY=1, HANDLER_DEADLINE_SECONDS=900):
        await work.began.wait()
        [message] = sqs.messages(queue)
        how, at = await asyncio.wait_for(work.ended, 600)
        hidden_until = message.hidden_until
        sqs.faults.clear()

    assert how == "cancelled"
    assert at <= hidden_until


@pytest.mark.looptime
async def test_a_beat_for_a_receipt_that_a_copy_has_replaced_ends_no_lease(
    sqs, queue, start_intake, recorder
):
    sqs.faults.add(BEAT, Slow(2), When(last=1))
    work = Work(40)
    send(sqs, queue)

    async with start_intake(recorder(work), HANDLER_DEADLINE_SECONDS=100):
        await work.began.wait()
        while not sqs.counts[BEAT]:  # noqa: ASYNC110  a beat begins in silence
            await asyncio.sleep(0.1)  # of virtual time
        [message] = sqs.messages(queue)
        sqs._queues.find(queue).expose(message)
        how, _ = await asyncio.wait_for(work.ended, 100)
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    assert how == "done"
    assert work.runs == 1


@pytest.mark.looptime
async def test_a_beat_under_way_does_not_overwrite_the_backoff(sqs, queue, start_intake, recorder):
    sqs.faults.add(BEAT, Slow(4), When(last=1))
    send(sqs, queue)

    async def work():
        while not sqs.counts[BEAT]:  # noqa: ASYNC110  a beat begins in silence
            await asyncio.sleep(0.1)  # of virtual time
        raise RateLimited("429", retry_after=600)

    async with start_intake(recorder(work)):
        await sqs.wait_until(lambda: sqs.journal.receives.total() == 1, 60)
        await asyncio.sleep(40)
        [message] = sqs.messages(queue)

    assert message.hidden_until > 600


@pytest.mark.looptime
async def test_a_message_stays_hidden_until_its_delete_is_confirmed(
    sqs, queue, start_intake, recorder
):
    sqs.faults.add("DeleteMessageBatch", HTTP_500)
    send(sqs, queue)

    async with start_intake(recorder()):
        await asyncio.sleep(3 * VISIBILITY)
        sqs.faults.clear()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    assert sqs.journal.receives.total() == 1


@pytest.mark.looptime
async def test_a_queue_that_hides_nothing_is_refused_at_the_start(sqs, start_intake, recorder):
    bare = sqs.create_queue("bare", VisibilityTimeout="0")

    with pytest.raises(ConfigurationError, match="SQS_VISIBILITY_SECONDS"):
        async with start_intake(recorder(), SQS_QUEUE_URL=bare):
            pass


@pytest.mark.looptime
async def test_a_queue_that_comes_to_hide_nothing_keeps_the_loop_free(
    queue, start_intake, recorder
):
    async with start_intake(recorder()) as intake:
        intake.leases.visibility_seconds = 0
        beats = 0

        async def beat():
            nonlocal beats
            beats += 1

        intake.leases.extend_due = beat
        await asyncio.sleep(2)

    assert 1 <= beats <= 30
