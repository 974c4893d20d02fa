"""An upstream that is down for minutes of virtual time, the queue and the API in the same loop."""

import asyncio
from itertools import pairwise

import pytest

from tests.support.factories import a_reference_body, a_voice_scored

MESSAGES = 100


@pytest.fixture
def queue(sqs):
    return sqs.create_queue("events", VisibilityTimeout="30")


def send(sqs, queue, count=MESSAGES):
    events = [a_voice_scored() for _ in range(count)]
    for event in events:
        sqs.send(queue, a_reference_body(event).decode())
    return sorted(event.conversation_id for event in events)


@pytest.mark.looptime
@pytest.mark.parametrize("outage_seconds", [120, 1200])
async def test_an_outage_dead_letters_nothing_uses_up_no_receives_and_probes_one_at_a_time(
    outage_seconds, sqs, queue, dead_letters, genesys, handler, start
):
    ids = send(sqs, queue)
    genesys.fail_with("data_action", 503)

    async with start():
        await asyncio.sleep(outage_seconds)
        asked_at = [a.at for a in genesys.arrivals if a.endpoint == "data_action"]
        genesys.heal("data_action")
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 300)

    assert sum(sqs.depth(dead_letters)) == 0
    assert sorted(handler.seen) == ids
    assert max(sqs.journal.receives.values()) <= 2
    probes = [at for at in asked_at if at > asked_at[0] + 10]
    assert probes
    assert all(later - earlier > 1 for earlier, later in pairwise(probes))


@pytest.mark.looptime
async def test_what_is_in_flight_during_an_outage_is_released_by_a_drain(
    sqs, queue, genesys, handler, start
):
    send(sqs, queue, 20)
    genesys.fail_with("data_action", 503)

    async with start() as intake:
        await asyncio.sleep(60)
        report = await intake.drain(5)

    assert report.stranded == 0
    assert sqs.depth(queue).in_flight == 0


@pytest.mark.looptime
async def test_a_breaker_that_no_handler_needs_holds_nothing_back(
    sqs, queue, genesys, handler, start_intake, recorder
):
    free = recorder()
    ids = send(sqs, queue, 5)

    async with start_intake(free, needs=("another",)):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    assert sorted(free.seen) == ids
