"""An ack does not wait for the connections that long polls hold."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from worker.app.context import new_context
from worker.app.intake import connect
from worker.app.jobs import load_settings

POLLERS = 20
POLL_SECONDS = 20


@pytest.fixture
def settings(queue):
    return load_settings(
        {
            "SQS_QUEUE_URL": queue,
            "SQS_CONCURRENCY": str(10 * POLLERS),
            "SQS_WAIT_SECONDS": str(POLL_SECONDS),
            "HANDLERS": "voice",
            "GENESYS_CLIENT_ID": "id",
            "GENESYS_CLIENT_SECRET": "secret",
            "GENESYS_ACTION_ID": "action",
            "DYNAMODB_TABLE": "table",
        }
    )


@pytest.fixture
def queue(sqs):
    return sqs.create_queue("events", VisibilityTimeout="60")


async def receive_all(sqs, url, queue):
    """Take ten messages for each poller; return their receipts, ten by ten."""
    for number in range(10 * POLLERS):
        sqs.send(url, str(number))
    taken = []
    for _ in range(POLLERS):
        messages = await queue.receive(10, wait_seconds=0, visibility_seconds=None)
        taken.append([message.receipt for message in messages])
    return taken


def long_polls(queue):
    polls = (
        queue.receive(10, wait_seconds=POLL_SECONDS, visibility_seconds=None)
        for _ in range(POLLERS)
    )
    return [asyncio.create_task(poll) for poll in polls]


@pytest.mark.looptime
async def test_deletes_are_answered_at_once_while_every_poller_is_in_a_long_poll(
    sqs, queue, settings
):
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        client = await connect(new_context(settings, stack), queue)
        receipts = await receive_all(sqs, queue, client)
        polls = long_polls(client)
        await asyncio.sleep(1)
        began = loop.time()
        results = await asyncio.gather(*map(client.delete, receipts))
        took = loop.time() - began

        assert took < 0.25
        assert sum(len(result) for result in results) == 10 * POLLERS
        assert not any(failed for result in results for failed in result)
        assert not any(poll.done() for poll in polls)
        await asyncio.gather(*polls)
    assert sqs.counts["ReceiveMessage"] == 2 * POLLERS
    assert sum(sqs.depth(queue)) == 0
