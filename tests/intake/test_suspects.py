import asyncio

import pytest

from worker.intake.message import Message
from worker.intake.suspects import (
    COMPANY_SECONDS,
    QUIET_SECONDS,
    SUSPICIOUS_RECEIVES,
    YOUNG_SECONDS,
    Suspects,
)
from worker.intake.valve import NO_LIMIT


def a_message(receives):
    return Message(id="m", receipt="r", body="", received_at=0, receive_count=receives)


@pytest.mark.parametrize(
    ("receives", "known", "age", "suspect"),
    [(1, False, 0, False), (2, False, 0, False), (3, False, 0, True), (3, True, 0, False),
     (9, False, YOUNG_SECONDS + 1, False)],
)  # fmt: skip
def test_who_came_often_without_a_word_is_a_suspect_of_a_young_process(
    receives, known, age, suspect
):
    now = [0.0]
    suspects = Suspects(lambda: now[0])
    now[0] = age

    assert suspects.meet(a_message(receives), known=known) is suspect


class Room:
    """Notes who is inside together."""

    def __init__(self, suspects):
        self.suspects = suspects
        self.inside = set()
        self.companies = []

    async def visit(self, name, *, alone, seconds=1):
        async with self.suspects.place(alone=alone):
            self.inside.add(name)
            self.companies.append(frozenset(self.inside))
            await asyncio.sleep(seconds)
            self.inside.discard(name)


@pytest.mark.looptime
async def test_a_suspect_is_alone_and_goes_after_what_is_in_hand():
    room = Room(Suspects(lambda: 0.0))

    await asyncio.gather(
        room.visit("a", alone=False),
        room.visit("b", alone=False),
        room.visit("suspect", alone=True),
        room.visit("c", alone=False),
    )

    assert {"a", "b", "c"} in room.companies
    assert [company for company in room.companies if "suspect" in company] == [{"suspect"}]
    assert room.companies[-1] == {"suspect"}


@pytest.mark.looptime
async def test_what_comes_while_a_suspect_runs_waits_for_its_end():
    room = Room(Suspects(lambda: 0.0))
    suspect = asyncio.create_task(room.visit("suspect", alone=True))
    await asyncio.sleep(0.5)

    await room.visit("late", alone=False)

    await suspect
    assert room.companies == [{"suspect"}, {"late"}]


@pytest.mark.looptime
async def test_a_suspect_waits_a_minute_for_company_to_leave_and_no_longer():
    room = Room(Suspects(lambda: 0.0))
    report = asyncio.create_task(room.visit("report", alone=False, seconds=3600))
    await asyncio.sleep(0)

    async with asyncio.timeout(COMPANY_SECONDS + 5):
        await room.visit("suspect", alone=True)

    report.cancel()


def meet(suspects, *receives):
    for count in receives:
        suspects.meet(a_message(count), known=False)


def test_a_young_process_takes_one_message_then_twice_as_many_with_each_that_is_no_suspect():
    suspects = Suspects(lambda: 0.0)
    allowances = [suspects.allowance()]
    for _ in range(4):
        meet(suspects, 1)
        allowances.append(suspects.allowance())

    assert allowances == [1, 2, 4, 8, 16]


def test_a_suspect_brings_the_process_back_to_one_message_at_a_time():
    suspects = Suspects(lambda: 0.0)

    meet(suspects, 1, 1, 1, SUSPICIOUS_RECEIVES)

    assert suspects.allowance() == 1


def test_an_old_process_takes_as_many_as_it_can():
    now = [0.0]
    suspects = Suspects(lambda: now[0])
    now[0] = YOUNG_SECONDS + 1

    assert suspects.allowance() == NO_LIMIT


@pytest.mark.looptime
async def test_nothing_is_received_while_a_suspect_waits_or_runs():
    suspects = Suspects(lambda: 0.0)
    meet(suspects, 1, 1, 1)
    room = Room(suspects)
    company = asyncio.create_task(room.visit("a", alone=False))
    await asyncio.sleep(0)
    suspect = asyncio.create_task(room.visit("suspect", alone=True))

    await asyncio.sleep(0.5)
    waiting = suspects.allowance()
    await asyncio.sleep(0.6)
    running = suspects.allowance()

    assert (waiting, running) == (0, 0)
    await asyncio.gather(company, suspect)
    assert suspects.allowance() == 8


@pytest.mark.looptime
async def test_a_suspect_waits_until_what_was_done_is_deleted():
    suspects, loop = Suspects(lambda: 0.0), asyncio.get_running_loop()
    began = loop.time()

    async with suspects.place(alone=True, quiet=True):
        waited = loop.time() - began

    assert waited == pytest.approx(QUIET_SECONDS)


@pytest.mark.looptime
async def test_two_suspects_are_alone_one_after_the_other():
    room = Room(Suspects(lambda: 0.0))

    await asyncio.gather(room.visit("x", alone=True), room.visit("y", alone=True))

    assert sorted(len(company) for company in room.companies) == [1, 1]


@pytest.mark.looptime
async def test_a_suspect_that_is_cancelled_while_it_waits_holds_up_nobody():
    room = Room(Suspects(lambda: 0.0))
    first = asyncio.create_task(room.visit("a", alone=False, seconds=10))
    await asyncio.sleep(0)
    suspect = asyncio.create_task(room.visit("suspect", alone=True))
    await asyncio.sleep(0)
    behind = asyncio.create_task(room.visit("b", alone=False))
    await asyncio.sleep(0)

    suspect.cancel()
    await asyncio.wait_for(behind, 30)

    await first
