import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker.intake.slots import Slots


@given(
    count=st.integers(1, 100),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=60),
)
async def test_free_and_taken_always_add_up_to_the_count(count, steps):
    slots = Slots(count)
    for take, number in steps:
        if take and slots.free >= min(number, count):
            assert await slots.take(number) == min(number, count)
        elif not take:
            slots.give_back(min(number, slots.taken))
        assert slots.free + slots.taken == count
        assert 0 <= slots.free <= count


async def test_more_places_than_were_taken_cannot_be_given_back():
    slots = Slots(3)
    await slots.take(2)

    with pytest.raises(ValueError, match="3 places given back, 2 taken"):
        slots.give_back(3)


@pytest.mark.looptime
async def test_a_poller_waits_while_everything_is_taken():
    slots = Slots(2)
    await slots.take(10)

    waiting = asyncio.create_task(slots.take(10))
    await asyncio.sleep(60)
    assert not waiting.done()

    slots.give_back(1)
    assert await waiting == 1


@pytest.mark.looptime
async def test_places_freed_one_by_one_are_taken_together():
    slots = Slots(10)
    await slots.take(10)
    waiting = asyncio.create_task(slots.take(10))
    await asyncio.sleep(0)

    for _ in range(10):
        slots.give_back(1)

    assert await waiting == 10


@pytest.mark.looptime
async def test_those_who_wait_get_nothing_when_the_slots_close():
    slots = Slots(1)
    await slots.take(1)
    waiting = [asyncio.create_task(slots.take(10)) for _ in range(3)]
    await asyncio.sleep(1)

    slots.close()

    assert await asyncio.gather(*waiting) == [0, 0, 0]


@pytest.mark.looptime
async def test_a_poller_that_lingers_takes_nothing_when_the_slots_close():
    slots = Slots(10)
    await slots.take(9)
    lingering = asyncio.create_task(slots.take(10))
    await asyncio.sleep(0)

    slots.close()

    assert await lingering == 0
    assert slots.free == 1
