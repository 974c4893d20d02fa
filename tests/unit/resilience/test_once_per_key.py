"""A step that is done is not done again."""

import asyncio

import pytest

from worker.resilience.work import OncePerKey


class Effect:
    def __init__(self, failures=0):
        self.failures, self.times = failures, 0

    async def __call__(self):
        self.times += 1
        if self.times <= self.failures:
            raise ConnectionError
        await asyncio.sleep(0)


async def test_a_step_is_done_once():
    steps, effect = OncePerKey(), Effect()
    for _ in range(3):
        await steps.once("a", effect)

    assert effect.times == 1


async def test_a_step_that_failed_is_done_again():
    steps, effect = OncePerKey(), Effect(failures=1)
    with pytest.raises(ConnectionError):
        await steps.once("a", effect)
    await steps.once("a", effect)

    assert effect.times == 2


async def test_steps_of_other_events_are_their_own():
    steps, effect = OncePerKey(), Effect()
    await steps.once(("1", "a"), effect)
    await steps.once(("2", "a"), effect)

    assert effect.times == 2


async def test_the_oldest_are_forgotten_first():
    steps, effect = OncePerKey(max_entries=2), Effect()
    for step in "abc":
        await steps.once(step, effect)
    await steps.once("c", effect)
    await steps.once("a", effect)

    assert effect.times == 4
