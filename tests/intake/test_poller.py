import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from worker.clients.aws.errors import QueueError
from worker.intake.poller import STALLED_SECONDS, Poller, PollSettings


class HangingQueue:
    """Answers nothing, whatever time-outs the SDK has."""

    async def receive(self, *_, **__):
        await asyncio.Event().wait()


@asynccontextmanager
async def a_hanging_poller():
    """Run one whose receives hang beside a ticker."""
    settings = PollSettings(wait_seconds=10, visibility_seconds=None, most_pollers=1)
    clock = asyncio.get_running_loop().time
    polls = Poller(HangingQueue(), settings, clock=clock, random=Random(1))

    async def tick():
        while True:
            await asyncio.sleep(0.25)
            polls.end_stalled()

    ticker = asyncio.create_task(tick())
    yield polls
    ticker.cancel()


@pytest.mark.looptime
async def test_a_receive_that_hangs_is_given_up_and_said_to_be_the_problem():
    loop = asyncio.get_running_loop()
    began = loop.time()

    async with a_hanging_poller() as hanging:
        assert await hanging.receive(10) is None

    assert loop.time() - began == pytest.approx(10 + STALLED_SECONDS, abs=1)
    assert hanging.problem == "TimeoutError"
    assert hanging.answered_at is None
    assert not asyncio.current_task().cancelling()


@pytest.mark.looptime
async def test_a_receive_that_is_cancelled_from_outside_ends_so():
    async with a_hanging_poller() as hanging:
        poll = asyncio.create_task(hanging.receive(10))
        await asyncio.sleep(1)

        poll.cancel()

        with pytest.raises(asyncio.CancelledError):
            await poll
    assert hanging.problem is None


class DeadQueue:
    """A queue whose receives all end in an error, at a time of the test's choice."""

    def __init__(self):
        self.fail = asyncio.Event()

    async def receive(self, at_most, **_):
        await self.fail.wait()
        raise QueueError("receive_message", "ReadTimeoutError")


@pytest.fixture
def dead_queue():
    return DeadQueue()


@pytest.fixture
def polls_of():
    def make(queue):
        settings = PollSettings(wait_seconds=1, visibility_seconds=None, most_pollers=7)
        clock = asyncio.get_running_loop().time
        return Poller(queue, settings, clock=clock, random=Longest())

    return make


class Longest(Random):
    """Draws the longest of all pauses."""

    def uniform(self, a, b):
        return b


async def longest_pause(polls):
    began = asyncio.get_running_loop().time()
    await polls.pause()
    return asyncio.get_running_loop().time() - began


@pytest.mark.looptime
async def test_pollers_that_fail_together_pause_as_after_one_failure(dead_queue, polls_of):
    polls = polls_of(dead_queue)
    together = asyncio.gather(*(polls.receive(10) for _ in range(7)))
    await asyncio.sleep(1)
    dead_queue.fail.set()
    await together

    assert await longest_pause(polls) == pytest.approx(2)


@pytest.mark.looptime
async def test_failures_in_a_row_make_each_pause_longer(dead_queue, polls_of):
    polls = polls_of(dead_queue)
    dead_queue.fail.set()
    pauses = []
    for _ in range(3):
        await polls.receive(10)
        pauses.append(await longest_pause(polls))

    assert pauses == pytest.approx([2, 4, 8])
