"""Pollers come while receives return full, and leave when they come back empty."""

import asyncio

import pytest

from tests.support.factories import a_reference_body, a_voice_scored
from worker.emulators.sqs.control import HTTP_500
from worker.intake.consumer import UNSETTLED_PER_PERMIT
from worker.intake.poller import most_pollers

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
