"""What running code works for: whose deadline rests while it waits, and who shares a call."""

import asyncio

import pytest

from worker.resilience.work import Deadline, Work, begin, current_work, waiting_for, working_for


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_command_works_for_no_message():
    assert current_work() == ()


async def test_what_a_message_begins_its_child_tasks_go_on_with():
    work = Work("m", "voice")

    async def message():
        begin(work)
        return await asyncio.create_task(child())

    async def child():
        return current_work()

    assert await asyncio.create_task(message()) == (work,)
    assert current_work() == ()


def test_deadline_is_put_off_by_the_wait_of_each_who_waits(clock):
    works = [Work("a", "voice", ends_by=10), Work("b", "voice", ends_by=20)]

    with working_for(works), waiting_for("budget", clock):
        reported = [work.waiting_for for work in works]
        clock.now = 5

    assert reported == ["budget", "budget"]
    assert [(work.waiting_for, work.ends_by) for work in works] == [("", 15), ("", 25)]


def test_two_waits_at_once_put_it_off_once_and_end_with_the_later(clock):
    work = Work("a", "voice", ends_by=10)

    with working_for([work]), waiting_for("budget", clock):
        clock.now = 1
        with waiting_for("budget", clock):
            clock.now = 3
        assert work.waiting_for == "budget"
        clock.now = 6

    assert (work.waiting_for, work.ends_by) == ("", 16)


def test_who_joins_a_wait_waits_along_and_who_leaves_does_not(clock):
    first, joining, leaving = (Work(name, "voice", ends_by=10) for name in ("a", "b", "c"))

    with working_for([first]) as group, waiting_for("budget", clock):
        clock.now = 2
        group.join((joining,), clock.now)
        group.join((leaving,), clock.now)
        clock.now = 3
        group.leave((leaving,), clock.now)
        assert (joining.waiting_for, leaving.waiting_for) == ("budget", "")
        clock.now = 6

    assert [work.ends_by for work in (first, joining, leaving)] == [16, 14, 11]


def test_a_work_that_joined_twice_leaves_twice(clock):
    work = Work("a", "voice", ends_by=10)

    with working_for(()) as group, waiting_for("budget", clock):
        group.join((work,), clock.now)
        group.join((work,), clock.now)
        group.leave((work,), clock.now)
        assert (group.works, work.waiting_for) == ((work,), "budget")
        group.leave((work,), clock.now)

    assert (group.works, work.waiting_for) == ((), "")


@pytest.mark.looptime
async def test_a_deadline_ends_a_block_that_is_late_and_no_other():
    with pytest.raises(TimeoutError), Deadline(10) as late:
        await asyncio.Event().wait()
    with Deadline(10) as early:
        await asyncio.sleep(9)
    await asyncio.sleep(9)

    assert (late.passed, early.passed) == (True, False)
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.looptime
async def test_a_cancellation_that_comes_with_the_deadline_stays_one():
    async def late():
        with Deadline(10):
            asyncio.get_running_loop().call_later(10, task.cancel)
            await asyncio.Event().wait()

    task = asyncio.create_task(late())
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.looptime
async def test_of_two_deadlines_the_outer_one_counts_when_both_are_over():
    with pytest.raises(TimeoutError), Deadline(10) as outer, Deadline(10) as inner:
        await asyncio.Event().wait()

    assert outer.passed
    assert inner.passed
    assert asyncio.current_task().cancelling() == 0
