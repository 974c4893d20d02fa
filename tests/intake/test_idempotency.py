"""Once per job and dedupe key in one process: what is done, and what is in work now."""

import asyncio

import pytest

from worker.app.context import JobContext
from worker.errors import Transient, Unavailable
from worker.events.origin import Result
from worker.intake.idempotency import LONGEST_WAIT_SECONDS, MOST_WAITING, Idempotency


class Work:
    """Takes a while, and fails as asked."""

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
def idempotency():
    return Idempotency()


def copies(idempotency, work, count):
    answers = (idempotency.once("voice", "k", work, proof="store") for _ in range(count))
    return asyncio.gather(*answers, return_exceptions=True)


@pytest.mark.looptime
async def test_a_copy_waits_for_the_first_and_is_a_duplicate_then(idempotency):
    work = Work()

    assert sorted(await copies(idempotency, work, 3)) == [
        Result.DUPLICATE,
        Result.DUPLICATE,
        Result.OK,
    ]
    assert work.runs == 1


@pytest.mark.looptime
async def test_a_copy_runs_when_the_first_failed(idempotency):
    work = Work(errors=[Unavailable("down")])

    failed, done = await copies(idempotency, work, 2)

    assert isinstance(failed, Unavailable)
    assert done is Result.OK


@pytest.mark.looptime
async def test_a_copy_waits_no_longer_than_a_minute(idempotency):
    work = Work(seconds=3600)
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(idempotency.once("reports", "k", work, proof="store"))
    await asyncio.sleep(1)
    began = loop.time()

    with pytest.raises(Transient, match="a copy of this event"):
        await idempotency.once("reports", "k", work, proof="store")

    assert loop.time() - began == pytest.approx(LONGEST_WAIT_SECONDS)
    assert await first is Result.OK


@pytest.mark.looptime
async def test_no_more_than_a_few_copies_wait(idempotency):
    answers = await copies(idempotency, Work(), 20)

    assert sum(isinstance(answer, Transient) for answer in answers) == 20 - 1 - MOST_WAITING


@pytest.mark.looptime
async def test_a_copy_that_is_cancelled_while_it_waits_leaves_the_others_their_turn(idempotency):
    work = Work()
    tasks = [
        asyncio.create_task(idempotency.once("voice", "k", work, proof="store")) for _ in range(3)
    ]
    await asyncio.sleep(0)
    tasks[1].cancel()

    assert await asyncio.gather(tasks[0], tasks[2]) == [Result.OK, Result.DUPLICATE]
    assert not idempotency._in_flight


@pytest.mark.looptime
async def test_other_events_do_not_wait(idempotency):
    loop = asyncio.get_running_loop()
    began = loop.time()

    await asyncio.gather(
        *(idempotency.once("voice", f"{n}", Work(), proof="store") for n in range(10))
    )

    assert loop.time() - began == pytest.approx(1, abs=0.1)


async def test_the_oldest_are_forgotten_beyond_the_size():
    idempotency, runs = Idempotency(size=2), []

    async def run():
        runs.append(1)
        return Result.OK

    for key in "abcda":
        assert await idempotency.once("voice", key, run, proof="sink") is Result.OK
    for key in "cda":
        assert await idempotency.once("voice", key, run, proof="sink") is Result.DUPLICATE
    assert len(runs) == 5


class Store:
    """Notes what it is asked."""

    def __init__(self):
        self.asked = []

    async def once(self, job, dedupe_key, run, *, conversation_id=None):
        self.asked.append((job, dedupe_key, conversation_id))
        return await run()


async def test_what_the_store_proves_is_asked_of_it_once_and_remembered_here():
    store = Store()
    idempotency, work = Idempotency(store), Work(seconds=0)

    for _ in range(2):
        last = await idempotency.once("chat", "k", work, proof="store", conversation_id="c")

    assert last is Result.DUPLICATE
    assert store.asked == [("chat", "k", "c")]


async def test_what_its_sink_proves_asks_the_store_nothing_and_is_remembered_here():
    store = Store()
    idempotency, work = Idempotency(store), Work(seconds=0)

    for _ in range(2):
        last = await idempotency.once("voice", "k", work, proof="sink", conversation_id="c")

    assert last is Result.DUPLICATE
    assert (store.asked, work.runs) == ([], 1)


async def test_what_failed_is_not_remembered():
    idempotency, work = Idempotency(), Work(seconds=0, errors=[Unavailable("down")])
    with pytest.raises(Unavailable):
        await idempotency.once("voice", "k", work, proof="sink")

    assert await idempotency.once("voice", "k", work, proof="sink") is Result.OK


async def test_jobs_and_keys_are_distinguished():
    idempotency, work = Idempotency(), Work(seconds=0)
    for job, key in (("voice", "k"), ("voice", "l"), ("chat", "k")):
        assert await idempotency.once(job, key, work, proof="sink") is Result.OK


async def test_a_job_does_once_what_it_names_by_a_key_of_its_own(start_intake, recorder):
    contexts, work = [], Work(seconds=0)

    async def make(context):
        contexts.append(context)
        return recorder()

    async with start_intake(None, make=make):
        job, other = (JobContext(name, contexts[0]) for name in ("voice", "workflow"))
        results = [await one.once("k", work) for one in (job, job, other)]

    assert results == [Result.OK, Result.DUPLICATE, Result.OK]
    assert work.runs == 2
