"""The simulated SQS does what the intake's rules rely on."""

import asyncio
from random import Random

from tests.simulation.clock import simulate
from tests.simulation.sqs import MAX_RECEIVE_COUNT, QueueOfProcess, Sent, SimulatedQueue


def with_queue(test, *, fifo=False):
    """Run the test in virtual time with a queue and a process's view of it."""

    async def run():
        queue = SimulatedQueue("events", ("voice",), Random(1), fifo=fifo)
        await test(queue, QueueOfProcess(queue, 30))

    simulate(run)


def put(queue, *groups):
    for number, group in enumerate(groups):
        queue.put(Sent(number, "voice", 0.0, group=group))


async def receive(client, at_most=10, wait_seconds=0):
    return await client.receive(at_most, wait_seconds=wait_seconds, visibility_seconds=None)


def test_a_message_is_hidden_until_its_visibility_ends():
    async def test(queue, client):
        put(queue, "")
        [first] = await receive(client)

        assert await receive(client) == []
        [again] = await receive(client, wait_seconds=60)

        assert asyncio.get_running_loop().time() < 31
        assert (first.receive_count, again.receive_count) == (1, 2)
        [stale] = await client.delete([first.receipt])
        assert stale.lease_lost
        assert await client.delete([again.receipt]) == [None]
        assert queue.depth == 0

    with_queue(test)


def test_a_change_of_visibility_counts_from_now():
    async def test(queue, client):
        put(queue, "")
        [message] = await receive(client)
        await asyncio.sleep(20)

        await client.change_visibility([(message.receipt, 30)])

        await asyncio.sleep(25)
        assert await receive(client) == []
        await client.change_visibility([(message.receipt, 0)])
        assert len(await receive(client)) == 1

    with_queue(test)


def test_a_long_poll_ends_with_the_first_message():
    async def test(queue, client):
        polling = asyncio.create_task(receive(client, wait_seconds=20))
        await asyncio.sleep(5)
        put(queue, "")

        assert len(await polling) == 1
        assert asyncio.get_running_loop().time() < 5.1

    with_queue(test)


def test_what_is_received_too_often_goes():
    async def test(queue, client):
        put(queue, "")
        for _ in range(MAX_RECEIVE_COUNT):
            [message] = await receive(client)
            await client.change_visibility([(message.receipt, 0)])

        assert await receive(client) == []
        assert queue.depth == 0

    with_queue(test)


def test_a_group_waits_for_its_head():
    async def test(queue, client):
        put(queue, "a", "b", "a", "a")
        first = await receive(client, at_most=3)

        assert await receive(client) == []
        await client.delete([message.receipt for message in first])
        rest = await receive(client)

        assert [message.id for message in first] == ["0", "1", "2"]
        assert [message.id for message in rest] == ["3"]

    with_queue(test, fifo=True)


def test_a_killed_process_is_answered_nothing():
    async def test(queue, client):
        put(queue, "")
        client.killed = True
        asking = asyncio.create_task(receive(client))
        await asyncio.sleep(100)

        assert not asking.done()
        assert queue.receives == 0
        asking.cancel()

    with_queue(test)
