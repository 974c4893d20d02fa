import asyncio

import pytest

from worker.intake.message import Message
from worker.intake.suspects import YOUNG_SECONDS, Suspects


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

    assert suspects.is_suspect(a_message(receives), known=known) is suspect


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
async def test_a_suspect_is_alone_and_the_others_go_on_after_it():
    room = Room(Suspects(lambda: 0.0))

    await asyncio.gather(
        room.visit("a", alone=False),
        room.visit("b", alone=False),
        room.visit("suspect", alone=True),
        room.visit("c", alone=False),
    )

    assert {"a", "b"} in room.companies
    assert [company for company in room.companies if "suspect" in company] == [{"suspect"}]
    assert room.companies[-1] == {"c"}


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
    await asyncio.wait_for(behind, 5)

    await first
