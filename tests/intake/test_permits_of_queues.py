"""Permits that several queues share, when some leave and some wait."""

import asyncio

import pytest

from worker.intake.poller import Permits


async def turn():
    await asyncio.sleep(0)


async def test_a_permit_freed_as_a_waiter_is_cancelled_goes_to_the_next():
    permits = Permits(1, ["voice"])
    await permits.acquire("voice")
    first, second = (asyncio.create_task(permits.acquire("voice")) for _ in range(2))
    await turn()

    first.cancel()
    permits.release("voice")

    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first
    permits.release("voice")
    assert permits.free == 1


async def test_a_queue_above_its_part_is_served_once_no_other_waits():
    permits = Permits(8, ["voice", "workflow"])
    assert await permits.acquire_some("voice", 10) == 6
    assert await permits.acquire_some("workflow", 2) == 2
    voice = asyncio.create_task(permits.acquire("voice"))
    await turn()
    workflow = asyncio.create_task(permits.acquire("workflow"))
    await turn()

    permits.release("voice", 2)

    assert await asyncio.wait_for(workflow, 1)
    assert await asyncio.wait_for(voice, 1)
