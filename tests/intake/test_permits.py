"""Permits: one limit for all queues, a part reserved for each, none of them ever lost."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.intake.poller import WINDOW_SECONDS, Permits

QUEUES = ("voice", "workflow", "chats")


async def settle():
    """Let all tasks run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


@given(
    count=st.integers(1, 100),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=60),
)
async def test_free_and_used_always_add_up_to_the_count(count, steps):
    permits = Permits(count, ["events"])
    for acquire, number in steps:
        if acquire and permits.free >= min(number, count):
            assert await permits.acquire_some("events", number) == min(number, count)
        elif not acquire and (some := min(number, permits.used["events"])):
            permits.release("events", some)
        assert permits.free + permits.used["events"] == count
        assert 0 <= permits.free <= count


async def test_more_permits_than_were_taken_cannot_be_released():
    permits = Permits(3, ["events"])
    await permits.acquire_some("events", 2)

    with pytest.raises(ValueError, match="3 permits released, 2 taken"):
        permits.release("events", 3)


async def test_a_queue_cannot_release_what_another_one_took():
    permits = Permits(8, QUEUES)
    await permits.acquire("voice")

    with pytest.raises(ValueError, match="1 permits released, 0 taken"):
        permits.release("chats")


@pytest.mark.looptime
async def test_a_poller_waits_while_everything_is_used():
    permits = Permits(2, ["events"])
    await permits.acquire_some("events", 10)

    waiting = asyncio.create_task(permits.acquire_some("events", 10))
    await asyncio.sleep(60)
    assert not waiting.done()

    permits.release("events")
    assert await waiting == 1


@pytest.mark.looptime
async def test_permits_freed_one_by_one_are_taken_together():
    permits = Permits(10, ["events"])
    await permits.acquire_some("events", 10)
    waiting = asyncio.create_task(permits.acquire_some("events", 10))
    await asyncio.sleep(0)
    permits.release("events")
    assert await waiting == 1  # waited for, so it goes at once

    another = asyncio.create_task(permits.acquire_some("events", 10))
    await asyncio.sleep(0)
    for _ in range(8):  # in one turn of the loop, as handlers that end at once do
        permits.release("events")

    assert await another == 8
    assert permits.free == 0


@pytest.mark.looptime
@pytest.mark.parametrize(("count", "queues", "enough"), [(60, 1, 6), (500, 1, 10), (60, 3, 2)])
async def test_a_poller_of_a_backlog_is_served_once_a_tenth_of_its_permits_is_free(
    count, queues, enough
):
    permits = Permits(count, QUEUES[:queues])
    for queue in QUEUES[:queues]:
        for _ in range(count // queues):
            await permits.acquire(queue)
    waiting = asyncio.create_task(permits.acquire_some("voice", 10, several=True))
    await settle()

    permits.release("voice", enough - 1)
    await settle()
    assert not waiting.done()
    permits.release("voice")

    assert await waiting == enough
    assert asyncio.get_running_loop().time() < WINDOW_SECONDS / 2


@pytest.mark.looptime
async def test_each_poller_waits_for_several_permits_for_a_window_in_which_it_is_next():
    permits = Permits(60, ["events"])
    while permits.free:
        await permits.acquire("events")
    now = asyncio.get_running_loop().time
    first, second = (
        asyncio.create_task(permits.acquire_some("events", 10, several=True)) for _ in range(2)
    )
    await settle()

    permits.release("events")
    assert await asyncio.wait_for(first, 1) == 1
    assert now() == WINDOW_SECONDS
    permits.release("events")
    assert await asyncio.wait_for(second, 1) == 1
    assert now() == 2 * WINDOW_SECONDS


@pytest.mark.looptime
async def test_a_poller_of_no_backlog_takes_the_first_permit():
    permits = Permits(60, ["events"])
    while permits.free:
        await permits.acquire("events")
    waiting = asyncio.create_task(permits.acquire_some("events", 10))
    await settle()

    permits.release("events")

    assert await waiting == 1
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.looptime
async def test_whom_a_queue_held_back_is_served_once_that_one_took_more_than_its_part():
    permits = Permits(180, QUEUES)
    for queue, used in zip(QUEUES, (70, 50, 60), strict=True):
        for _ in range(used):
            permits._grant(queue, 1)
    pollers = [
        asyncio.create_task(permits.acquire_some("workflow", 10, several=True)) for _ in range(2)
    ]
    await settle()
    message = asyncio.create_task(permits.acquire("voice"))
    await settle()

    permits.release("chats", 6)
    permits.release("chats", 5)

    assert await message
    assert asyncio.get_running_loop().time() == 0
    await pollers[0]
    pollers[1].cancel()


@pytest.mark.looptime
async def test_whom_a_cancelled_one_held_back_is_served_by_what_is_freed_in_that_turn():
    permits = Permits(8, ["a", "b"])
    for queue in "aaaaaabb":
        permits._grant(queue, 1)
    waiting, leaving = (asyncio.create_task(permits.acquire(queue)) for queue in "ab")
    await settle()

    leaving.cancel()
    permits.release("a")
    await settle()

    assert waiting.done()


@pytest.mark.looptime
async def test_those_who_wait_get_nothing_when_the_permits_close():
    permits = Permits(1, ["events"])
    await permits.acquire("events")
    pollers = [asyncio.create_task(permits.acquire_some("events", 10)) for _ in range(3)]
    message = asyncio.create_task(permits.acquire("events"))
    await asyncio.sleep(1)

    permits.close()

    assert await asyncio.gather(*pollers) == [0, 0, 0]
    assert await message is False
    permits.release("events")
    assert await permits.acquire("events") is False
    assert permits.free == 1


@pytest.mark.looptime
async def test_a_poller_that_lingers_takes_nothing_when_the_permits_close():
    permits = Permits(10, ["events"])
    await permits.acquire_some("events", 9)
    lingering = asyncio.create_task(permits.acquire_some("events", 10))
    await asyncio.sleep(0)

    permits.close()

    assert await lingering == 0
    assert permits.free == 1


@pytest.mark.looptime
async def test_a_message_in_flight_comes_before_a_poller_that_waited_longer():
    permits = Permits(1, ["events"])
    await permits.acquire("events")
    poller = asyncio.create_task(permits.acquire_some("events", 10))
    await settle()
    message = asyncio.create_task(permits.acquire("events"))
    await settle()

    permits.release("events")
    await settle()

    assert (message.done(), poller.done()) == (True, False)
    poller.cancel()


@pytest.mark.looptime
async def test_half_of_an_equal_part_is_kept_for_a_queue_that_asks_for_nothing():
    permits = Permits(12, ["voice", "workflow"])

    taken = await permits.acquire_some("voice", 12)

    assert taken == 12 - 3
    assert await permits.acquire_some("workflow", 10) == 3


@pytest.mark.looptime
async def test_a_queue_above_its_equal_part_gets_none_while_one_below_waits():
    permits = Permits(12, ["voice", "workflow"])
    await permits.acquire_some("voice", 9)
    await permits.acquire_some("workflow", 3)
    hungry = asyncio.create_task(permits.acquire_some("voice", 10))
    below = [asyncio.create_task(permits.acquire("workflow")) for _ in range(3)]
    await settle()

    permits.release("voice", 3)
    await settle()

    assert [task.done() for task in below] == [True, True, True]
    assert not hungry.done()
    assert permits.used == {"voice": 6, "workflow": 6}
    hungry.cancel()


@pytest.mark.looptime
async def test_two_busy_queues_share_what_idle_ones_leave():
    """Both are above their equal parts, and both wait: neither may hold the other back."""
    permits = Permits(50, ["a", "b", "c", "d", "e"])
    await permits.acquire_some("a", 18)
    await permits.acquire_some("b", 17)
    waiting = [asyncio.create_task(permits.acquire(name)) for name in "ababab"]
    await settle()
    assert not any(task.done() for task in waiting)  # the rest is reserved for the idle ones

    permits.release("a", 6)
    await settle()

    assert all(task.done() for task in waiting)
    assert permits.used == {"a": 15, "b": 20, "c": 0, "d": 0, "e": 0}


@pytest.mark.looptime
async def test_whom_a_waiting_queue_held_back_is_served_once_that_one_waits_no_more():
    permits = Permits(8, ["a", "b"])
    await permits.acquire_some("a", 6)
    await permits.acquire_some("b", 2)
    above = asyncio.create_task(permits.acquire("a"))
    await settle()
    below = asyncio.create_task(permits.acquire("b"))
    await settle()

    permits.release("a", 2)
    await settle()

    assert (above.done(), below.done()) == (True, True)
    assert permits.free == 0


@pytest.mark.looptime
async def test_a_permit_is_released_in_the_moment_in_which_a_message_stops_waiting_for_it():
    permits = Permits(1, ["events"])
    await permits.acquire("events")
    leaving = asyncio.create_task(permits.acquire("events"))
    staying = asyncio.create_task(permits.acquire("events"))
    await settle()

    leaving.cancel()  # it has not taken a step yet when the permit comes
    permits.release("events")

    assert await staying is True
    assert leaving.cancelled()
    assert permits.used == {"events": 1}


@pytest.mark.looptime
async def test_a_permit_that_was_granted_to_a_cancelled_task_goes_back():
    permits = Permits(1, ["events"])
    await permits.acquire("events")
    leaving = asyncio.create_task(permits.acquire("events"))
    await settle()

    permits.release("events")
    leaving.cancel()  # the permit is its own by now
    await settle()

    assert permits.free == 1


class Crowd:
    """Messages and pollers of several queues that acquire, work, release and are cancelled."""

    def __init__(self, permits, seed):
        self.permits = permits
        self.random = Random(seed)

    async def member(self):
        queue = self.random.choice(list(self.permits.used))
        if self.random.random() < 0.7:
            got = int(await self.permits.acquire(queue))
        else:
            several = self.random.random() < 0.5
            got = await self.permits.acquire_some(
                queue, self.random.randint(1, 10), several=several
            )
        try:
            await asyncio.sleep(self.random.random())
        finally:
            if got:
                self.permits.release(queue, got)


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(30))
async def test_no_permit_is_lost_or_idle_whichever_is_cancelled_at_whatever_await(seed):
    random = Random(seed)
    permits = Permits(random.choice([random.randint(3, 20), random.randint(60, 200)]), QUEUES)
    crowd = Crowd(permits, seed)
    tasks = [asyncio.create_task(crowd.member()) for _ in range(max(60, permits.count))]

    while any(not task.done() for task in tasks):
        for task in random.sample(tasks, 3):
            if random.random() < 0.4:
                task.cancel()
        await asyncio.sleep(random.choice([0, 0, 0.001, 0.05]))
        assert permits.free + sum(permits.used.values()) == permits.count
        assert permits.free >= 0
        await settle()
        waiting = [waiter for line in permits._lines() for waiter in line]
        idle = [one for one in waiting if permits.available(one.queue, 10) >= one.at_least]
        assert idle == []  # anyone who waits, waits for a reason

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in outcomes} <= {type(None), asyncio.CancelledError}
    assert permits.free == permits.count


async def test_a_permit_freed_as_a_waiter_is_cancelled_goes_to_the_next():
    permits = Permits(1, ["voice"])
    await permits.acquire("voice")
    first, second = (asyncio.create_task(permits.acquire("voice")) for _ in range(2))
    await settle()

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
    await settle()
    workflow = asyncio.create_task(permits.acquire("workflow"))
    await settle()

    permits.release("voice", 2)

    assert await asyncio.wait_for(workflow, 60)
    assert await asyncio.wait_for(voice, 60)
