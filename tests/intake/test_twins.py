"""Copies of one event in one process: one runs, the others wait for it."""

import asyncio

import pytest

from worker.domain.result import Result
from worker.errors import Transient, Unavailable
from worker.intake.ledger import MemoryLedger
from worker.intake.twins import LONGEST_WAIT_SECONDS, MOST_WAITING, Twins


class Work:
    """Takes a while, and fails as told."""

    def __init__(self, seconds=1.0, errors=()):
        self.seconds = seconds
        self.errors = list(errors)
        self.runs = 0
        self.at_once = 0

    async def __call__(self):
        self.runs += 1
        self.at_once += 1
        try:
            assert self.at_once == 1
            await asyncio.sleep(self.seconds)
            if self.errors:
                raise self.errors.pop(0)
        finally:
            self.at_once -= 1
        return Result.OK


@pytest.fixture
def twins():
    return Twins(MemoryLedger())


def copies(twins, work, count):
    answers = (twins.once("voice", "k", work) for _ in range(count))
    return asyncio.gather(*answers, return_exceptions=True)


@pytest.mark.looptime
async def test_a_copy_waits_for_its_twin_and_is_a_duplicate_then(twins):
    work = Work()

    assert sorted(await copies(twins, work, 3)) == [Result.DUPLICATE, Result.DUPLICATE, Result.OK]
    assert work.runs == 1


@pytest.mark.looptime
async def test_a_copy_runs_when_its_twin_failed(twins):
    work = Work(errors=[Unavailable("down")])

    failed, done = await copies(twins, work, 2)

    assert isinstance(failed, Unavailable)
    assert done is Result.OK


@pytest.mark.looptime
async def test_a_copy_waits_no_longer_than_a_minute(twins):
    work = Work(seconds=3600)
    loop = asyncio.get_running_loop()
    twin = asyncio.create_task(twins.once("reports", "k", work))
    await asyncio.sleep(1)
    began = loop.time()

    with pytest.raises(Transient, match="a copy of this event"):
        await twins.once("reports", "k", work)

    assert loop.time() - began == pytest.approx(LONGEST_WAIT_SECONDS)
    assert await twin is Result.OK


@pytest.mark.looptime
async def test_no_more_than_a_few_copies_wait(twins):
    answers = await copies(twins, Work(), 20)

    assert sum(isinstance(answer, Transient) for answer in answers) == 20 - 1 - MOST_WAITING


@pytest.mark.looptime
async def test_a_copy_that_is_cancelled_while_it_waits_leaves_the_others_their_turn(twins):
    work = Work()
    tasks = [asyncio.create_task(twins.once("voice", "k", work)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()

    assert await asyncio.gather(tasks[0], tasks[2]) == [Result.OK, Result.DUPLICATE]
    assert not twins._running


@pytest.mark.looptime
async def test_other_events_do_not_wait(twins):
    loop = asyncio.get_running_loop()
    began = loop.time()

    await asyncio.gather(*(twins.once("voice", f"{n}", Work()) for n in range(10)))

    assert loop.time() - began == pytest.approx(1, abs=0.1)
