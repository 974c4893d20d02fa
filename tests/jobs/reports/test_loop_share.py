"""A report gives the event loop its turns, and several reports no fewer than one."""

import asyncio
import time

from worker.jobs.reports.reader import LoopShare


class Turns:
    """Counts the turns that another task gets."""

    def __init__(self):
        self.count = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self):
        while True:
            self.count += 1
            await asyncio.sleep(0)


def busy(steps):
    """Work of a millisecond a step."""
    for _ in range(steps):
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        yield


async def test_others_get_a_turn_after_each_two_milliseconds_of_work():
    async with Turns() as turns:
        await LoopShare().run(busy(steps=60))

    assert turns.count >= 20


async def test_between_two_turns_there_is_the_work_of_one_report_however_many_are_made():
    share, seen = LoopShare(), set()

    def work(name):
        for step in busy(steps=5):
            seen.add((turns.count, name))
            yield step

    async with Turns() as turns:
        await asyncio.gather(*(share.run(work(name)) for name in "abcd"))

    assert len({turn for turn, _ in seen}) == len(seen)


async def test_work_that_fails_leaves_the_loop_to_the_next():
    share = LoopShare()

    def broken():
        yield
        raise ZeroDivisionError

    failed = await asyncio.gather(share.run(broken()), return_exceptions=True)

    await share.run(busy(steps=1))
    assert [type(error) for error in failed] == [ZeroDivisionError]
