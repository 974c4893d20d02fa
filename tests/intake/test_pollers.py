"""Pollers come while receives return full, and leave when they come back empty or nearly so."""

import asyncio
from random import Random

import pytest

from tests.support.factories import a_reference_body, a_voice_scored
from worker.emulators.sqs.control import HTTP_500, FewerMessages
from worker.intake.consumer import UNSETTLED_PER_PERMIT
from worker.intake.poller import LINGER_SECONDS, WINDOW_SECONDS, most_pollers

CONCURRENCY = 60


def send(sqs, queue, count):
    for _ in range(count):
        sqs.send(queue, a_reference_body(a_voice_scored()).decode())


@pytest.mark.looptime
async def test_pollers_come_with_a_backlog_and_leave_after_several_empty_polls(
    sqs, queue, start_intake, recorder
):
    send(sqs, queue, 300)

    async with start_intake(recorder(), SQS_CONCURRENCY=CONCURRENCY) as intake:
        consumer = intake.consumer
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)
        busy = consumer.pollers
        await asyncio.sleep(1.9)  # an empty poll takes a second here
        patient = consumer.pollers
        await asyncio.sleep(3)

        assert busy == patient == most_pollers(CONCURRENCY)
        assert consumer.pollers == 1


async def send_one_by_one(sqs, queue, count, every):
    """Send at a steady rate, until all is deleted."""
    for _ in range(count):
        send(sqs, queue, 1)
        await asyncio.sleep(every)
    await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)


@pytest.mark.looptime
async def test_messages_that_come_one_by_one_are_received_together(
    sqs, queue, start_intake, recorder
):
    handler = recorder()

    async with start_intake(handler, SQS_CONCURRENCY=CONCURRENCY):
        await send_one_by_one(sqs, queue, 100, every=WINDOW_SECONDS / 3)

    assert len(handler.seen) == 100
    assert sqs.counts["ReceiveMessage"] < 45


@pytest.mark.looptime
async def test_what_gathered_in_a_window_is_no_reason_for_another_poller(
    sqs, queue, start_intake, recorder
):
    most = 0

    async def note():
        nonlocal most
        most = max(most, intake.consumer.pollers)

    async with start_intake(recorder(*[note] * 200), SQS_CONCURRENCY=CONCURRENCY) as intake:
        await send_one_by_one(sqs, queue, 200, every=WINDOW_SECONDS / 15)

    assert most == 1


@pytest.mark.looptime
async def test_pollers_of_a_backlog_leave_while_a_steady_load_goes_on(
    sqs, queue, start_intake, recorder
):
    send(sqs, queue, 300)

    async with start_intake(recorder(), SQS_CONCURRENCY=CONCURRENCY) as intake:
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)
        busy = intake.consumer.pollers
        await send_one_by_one(sqs, queue, 60, every=WINDOW_SECONDS / 3)

        assert (busy, intake.consumer.pollers) == (most_pollers(CONCURRENCY), 1)


@pytest.mark.looptime
async def test_slow_handlers_in_a_backlog_cost_no_receive_each(sqs, queue, start_intake, recorder):
    sqs.round_trip_seconds = 0.005
    send(sqs, queue, 1_000)
    random, now = Random(1), asyncio.get_running_loop().time

    async def take_their_time():
        await asyncio.sleep(random.uniform(0.1, 0.5))

    async with start_intake(recorder(*[take_their_time] * 1_000), SQS_CONCURRENCY=CONCURRENCY):
        began = now()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

        assert sqs.counts["ReceiveMessage"] < 250
        # All permits in use all the time: a thousand times 0.3 s by 60 at once. Nine tenths of it.
        assert now() - began < 1_000 * 0.3 / CONCURRENCY / 0.9 + 0.5


@pytest.mark.looptime
async def test_few_free_permits_delay_no_message_that_comes_by_itself(
    sqs, queue, start_intake, recorder
):
    held, now = asyncio.Event(), asyncio.get_running_loop().time
    sent, delays = [], []

    async def hold():
        await held.wait()

    async def note():
        delays.append(now() - sent[-1])

    handler = recorder(*[hold] * (CONCURRENCY - 4), *[note] * 100)
    async with start_intake(handler, SQS_CONCURRENCY=CONCURRENCY) as intake:
        send(sqs, queue, CONCURRENCY - 4)
        await sqs.wait_until(lambda: len(intake.leases) == CONCURRENCY - 4, 60)
        await asyncio.sleep(5)
        for _ in range(100):
            await asyncio.sleep(1.6 * WINDOW_SECONDS)
            sent.append(now())
            send(sqs, queue, 1)
        await sqs.wait_until(lambda: len(delays) == 100, 60)
        held.set()

    assert max(delays) <= WINDOW_SECONDS + LINGER_SECONDS


@pytest.mark.looptime
async def test_a_stop_ends_the_window(sqs, queue, start_intake, recorder):
    begun = asyncio.Event()
    now = asyncio.get_running_loop().time

    async def note():
        begun.set()

    async with start_intake(recorder(note), SQS_CONCURRENCY=CONCURRENCY) as intake:
        send(sqs, queue, 1)
        await begun.wait()
        began = now()
        await intake.consumer.drain(5)

        assert now() - began < WINDOW_SECONDS / 2


@pytest.mark.looptime
async def test_there_is_no_window_in_a_backlog_however_few_a_receive_brings(
    sqs, queue, start_intake, recorder
):
    send(sqs, queue, 60)
    await asyncio.sleep(60)
    sqs.faults.add("ReceiveMessage", FewerMessages(2))
    handler = recorder()
    now = asyncio.get_running_loop().time

    async with start_intake(handler, SQS_CONCURRENCY=CONCURRENCY):
        began = now()
        await sqs.wait_until(lambda: len(handler.seen) == 60, 60)

        assert now() - began < 10 * WINDOW_SECONDS


@pytest.mark.looptime
async def test_while_receives_fail_one_poller_is_enough_to_find_out(
    sqs, queue, start_intake, recorder
):
    send(sqs, queue, 300)

    async with start_intake(recorder(), SQS_CONCURRENCY=CONCURRENCY) as intake:
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)
        busy = intake.consumer.pollers
        sqs.faults.add("ReceiveMessage", HTTP_500)
        await asyncio.sleep(2)

        assert (busy, intake.consumer.pollers) == (most_pollers(CONCURRENCY), 1)


@pytest.mark.looptime
async def test_the_intake_waits_when_too_many_deletes_are_outstanding(
    sqs, start_intake, recorder, queue
):
    sqs.faults.add("DeleteMessageBatch", HTTP_500)
    send(sqs, queue, 300)

    async with start_intake(recorder(), SQS_CONCURRENCY=2, SQS_VISIBILITY_SECONDS=600):
        await asyncio.sleep(60)
        in_flight = sqs.depth(queue).in_flight
        sqs.faults.clear()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    assert 2 * UNSETTLED_PER_PERMIT <= in_flight <= 2 * (UNSETTLED_PER_PERMIT + 1)
