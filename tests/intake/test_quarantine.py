"""Quarantine by evidence: what killed two processes runs alone, its third death ends it."""

import asyncio
import time

import pytest

from tests.intake.doubles import a_lease, a_message
from tests.support.dynamodb import a_client, a_guard, a_store_table
from tests.support.factories import a_reference_body, a_voice_scored, an_id
from worker.clients.aws.crash_marks import CrashMarks, Evidence
from worker.intake.outcome import DONE, DeadLetter
from worker.intake.quarantine import ALONE_AFTER_SECONDS, Quarantine
from worker.intake.router import Source


class FakeMarks:
    """Knows what a test says of a message, and notes what it is given."""

    def __init__(self, *, seconds=0.0, **evidence):
        self.evidence = evidence
        self.seconds = seconds
        self.reported = []

    async def begin(self, queue, message_id, lease_seconds):
        self.reported.append(("begin", message_id))
        await asyncio.sleep(self.seconds)
        return self.evidence.get(message_id, Evidence())

    async def alone(self, queue, message_id):
        self.reported.append(("alone", message_id))

    async def end(self, queue, message_id):
        self.reported.append(("end", message_id))

    async def release(self, queue, message_id):
        await asyncio.sleep(self.seconds)
        self.reported.append(("release", message_id))


class Ward:
    """A quarantine, and a delivery that notes who runs beside whom."""

    def __init__(self, marks):
        self.running = []
        self.beside = {}
        self.ran = []
        self.quarantine = Quarantine(marks, self.running.__len__)

    async def deliver(self, lease, seconds=1.0):
        name = lease.message.id
        self.running.append(name)
        for other in self.running:
            self.beside.setdefault(other, set()).update(set(self.running) - {other})
        try:
            await asyncio.sleep(seconds)
        finally:
            self.running.remove(name)
            if self.quarantine.exclusive:
                self.quarantine.ended()
        self.ran.append(name)
        return DONE

    def start(self, message_id, seconds=1.0, receives=2):
        """Begin a message as the delivery does."""

        async def work():
            lease = a_lease(a_message(message_id, receives=receives))
            if self.quarantine.exclusive:
                await self.quarantine.until_shared()
            if receives == 1:
                return await self.deliver(lease, seconds)
            return await self.quarantine.deliver(lease, lambda one: self.deliver(one, seconds))

        return asyncio.create_task(work())


KILLER = Evidence(deaths=2)


@pytest.mark.looptime
async def test_without_marks_nothing_is_isolated():
    ward = Ward(None)

    await asyncio.gather(*(ward.start(f"m{n}", receives=9) for n in range(5)))

    assert len(ward.beside["m0"]) == 4


@pytest.mark.looptime
async def test_one_death_proves_nothing():
    ward = Ward(FakeMarks(m0=Evidence(deaths=1)))

    await asyncio.gather(*(ward.start(f"m{n}") for n in range(3)))

    assert ward.beside["m0"] == {"m1", "m2"}


@pytest.mark.looptime
async def test_after_the_second_death_a_message_runs_alone_and_its_mark_says_so():
    marks = FakeMarks(killer=KILLER)
    ward = Ward(marks)
    first = ward.start("before")
    await asyncio.sleep(0.1)
    killer = ward.start("killer")
    await asyncio.sleep(0.1)
    after = [ward.start(f"after {n}", receives=n) for n in (1, 2)]

    await asyncio.gather(first, killer, *after)

    assert ward.beside["killer"] == set()
    assert ward.ran == ["before", "killer", "after 1", "after 2"]
    assert [reported for reported in marks.reported if reported[1] == "killer"] == [
        ("begin", "killer"),
        ("alone", "killer"),
        ("end", "killer"),
    ]


@pytest.mark.looptime
async def test_what_asked_the_table_while_one_came_to_run_alone_waits_for_it():
    """It had passed the door already; it ran beside, and could kill in the other's name."""
    marks = FakeMarks(killer=KILLER, seconds=0.5)
    ward = Ward(marks)
    killer = ward.start("killer", seconds=5)
    await asyncio.sleep(0.4)
    late = ward.start("late")

    await asyncio.gather(killer, late)

    assert ward.beside["killer"] == set()
    assert ward.ran == ["killer", "late"]


@pytest.mark.looptime
async def test_two_that_killed_run_one_after_the_other_and_nothing_in_between():
    ward = Ward(FakeMarks(a=KILLER, b=KILLER))
    tasks = [ward.start("a"), ward.start("b")]
    await asyncio.sleep(0.5)
    tasks.append(ward.start("healthy", receives=1))

    await asyncio.gather(*tasks)

    assert ward.beside["a"] == ward.beside["b"] == set()
    assert ward.ran[-1] == "healthy"


@pytest.mark.looptime
async def test_those_who_wait_are_held_by_one_that_comes_in_the_moment_in_which_another_ends():
    quarantine = Quarantine(FakeMarks(), [].__len__)
    quarantine.exclusive = True
    waiting = asyncio.create_task(quarantine.until_shared())
    await asyncio.sleep(0)

    quarantine._shared.set()  # one has ended, and in the same turn the next came to run alone
    quarantine._shared.clear()
    await asyncio.sleep(1)
    assert not waiting.done()

    quarantine.exclusive = False
    quarantine._shared.set()
    await waiting


@pytest.mark.looptime
async def test_a_message_waits_a_minute_at_most_for_what_will_not_end():
    ward = Ward(FakeMarks(killer=KILLER))
    report = ward.start("report", seconds=3600, receives=1)
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()

    await ward.start("killer")

    waited = asyncio.get_running_loop().time() - began
    assert ALONE_AFTER_SECONDS <= waited <= ALONE_AFTER_SECONDS + 2
    assert ward.beside["killer"] == {"report"}
    report.cancel()


@pytest.mark.looptime
async def test_the_third_death_alone_dead_letters_a_message_unopened():
    ward = Ward(FakeMarks(killer=Evidence(deaths=3, alone=True)))

    outcome = await ward.start("killer")

    assert isinstance(outcome, DeadLetter)
    assert outcome.failure.reason == (
        "the process ended 3 times while it handled this message, at last alone"
    )
    assert ward.ran == []


@pytest.mark.looptime
async def test_a_third_death_among_others_is_no_proof():
    ward = Ward(FakeMarks(victim=Evidence(deaths=7, alone=False)))

    assert await ward.start("victim") == DONE


@pytest.mark.looptime
@pytest.mark.parametrize("after", [0.1, 0.7], ids=["as it is marked", "as it runs"])
async def test_a_cancelled_message_gives_up_its_mark(after):
    marks = FakeMarks(seconds=0.5)
    task = Ward(marks).start("m", seconds=60)
    await asyncio.sleep(after)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert marks.reported[-1] == ("release", "m")


@pytest.mark.looptime
async def test_one_that_is_cancelled_while_it_waits_to_run_alone_sets_the_others_free():
    marks = FakeMarks(killer=KILLER)
    ward = Ward(marks)
    long = ward.start("long", seconds=30)
    await asyncio.sleep(0.1)
    killer = ward.start("killer")
    await asyncio.sleep(0.1)
    waiting = ward.start("waiting", receives=1)
    await asyncio.sleep(0.1)

    killer.cancel()
    await waiting

    assert ward.ran == ["waiting"]
    assert marks.reported[-1] == ("release", "killer")
    assert not ward.quarantine.exclusive
    await long


@pytest.mark.looptime
async def test_a_run_that_raises_gives_up_its_mark_and_the_place():
    marks = FakeMarks(killer=KILLER)
    ward = Ward(marks)

    async def fail(_lease):
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        await ward.quarantine.deliver(a_lease(a_message("killer", receives=2)), fail)

    assert marks.reported[-1] == ("release", "killer")
    assert not ward.quarantine.exclusive


# With the table


@pytest.fixture
async def process(wire):
    """Return a maker of processes: each is a quarantine with an owner of its own."""
    async with a_client() as client:
        table = await a_store_table(client)

        def start(ahead=0.0):
            marks = CrashMarks(client, table, a_guard(), an_id(), lambda: time.time() + ahead)
            return Ward(marks)

        yield start


SHORT = Source("events", "https://sqs/events", frozenset({"voice"}), bound=False, age_seconds=float)


def a_received(message_id):
    """A lease of a message that was received again just now."""
    at = asyncio.get_running_loop().time()
    return a_lease(a_message(message_id, receives=2, at=at), source=SHORT)


async def receive(ward, message_id, opened=None):
    """Run a message to its end; `opened` notes whether nothing else could run then."""

    async def deliver(_lease):
        if opened is not None:
            opened.append(ward.quarantine.exclusive)
        return DONE

    return await ward.quarantine.deliver(a_received(message_id), deliver)


async def die(ward, *message_ids):
    """Begin messages, the first one first, and let the process die as soon as one runs."""
    reached = asyncio.Event()

    async def deliver(_lease):
        reached.set()
        await asyncio.Event().wait()

    tasks = []
    for message_id in message_ids:
        run = ward.quarantine.deliver(a_received(message_id), deliver)
        tasks.append(asyncio.create_task(run))
        await asyncio.wait_for(reached.wait(), 10)
    await ward.quarantine._marks.end("another", "queue")  # the others have their marks by then
    ward.quarantine._marks.release = _nothing  # a kill: nothing is reported any more
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _nothing(*_args):
    pass


async def test_three_deaths_in_three_processes_dead_letter_a_message_unopened(process):
    opened = []
    for number in range(3):  # each starts when the lease of the one before is over
        await die(process(ahead=60.0 * number), "killer")

    outcome = await receive(process(ahead=180.0), "killer", opened)

    assert isinstance(outcome, DeadLetter)
    assert opened == []


async def test_from_the_second_death_on_it_has_the_process_to_itself(process):
    opened = []
    await die(process(), "m")
    await receive(process(ahead=60.0), "once", opened)
    await die(process(ahead=60.0), "m")

    await receive(process(ahead=120.0), "m", opened)

    assert opened == [False, True]


async def test_messages_that_waited_while_the_killer_ran_alone_are_not_blamed(process):
    for number in range(3):
        await die(process(ahead=60.0 * number), "killer", "neighbour", "another")

    assert isinstance(await receive(process(ahead=300.0), "killer"), DeadLetter)
    assert await receive(process(ahead=300.0), "neighbour") == DONE
    assert await receive(process(ahead=300.0), "another") == DONE


async def test_an_outcome_takes_the_evidence_off(process):
    for number in range(2):
        await die(process(ahead=60.0 * number), "m")
    assert await receive(process(ahead=120.0), "m") == DONE

    ward = process(ahead=180.0)
    assert await receive(ward, "m") == DONE
    assert not ward.quarantine.exclusive


async def test_a_table_that_is_down_has_no_effect_but_a_short_wait(process, wire):
    for number in range(3):
        await die(process(ahead=60.0 * number), "killer")
    wire.cut = True
    ward = process(ahead=180.0)

    assert await receive(ward, "killer") == DONE
    began = time.monotonic()
    for number in range(20):
        assert await receive(ward, f"m{number}") == DONE
    assert time.monotonic() - began < 2  # it is not asked for each


# In the intake


@pytest.mark.looptime
async def test_nothing_is_opened_while_one_runs_alone_whatever_queue_it_came_from(
    sqs, queue, start_intake, recorder
):
    seen = recorder()
    async with start_intake(seen) as intake:
        quarantine = intake.parts.delivery.quarantine
        quarantine.exclusive = True
        quarantine._shared.clear()
        for _ in range(5):
            sqs.send(queue, a_reference_body(a_voice_scored()).decode())
        await asyncio.sleep(10)
        assert seen.seen == []

        quarantine.exclusive = False
        quarantine._shared.set()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    assert len(seen.seen) == 5
