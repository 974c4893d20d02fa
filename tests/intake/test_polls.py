import asyncio
from random import Random

import pytest

from worker.intake.polls import STALLED_SECONDS, PollRules, Polls


class HangingQueue:
    """Answers nothing, whatever time-outs the SDK has."""

    async def receive(self, *_, **__):
        await asyncio.Event().wait()


@pytest.mark.looptime
async def test_a_receive_that_hangs_is_given_up_and_said_to_be_the_problem():
    loop = asyncio.get_running_loop()
    rules = PollRules(wait_seconds=10, visibility_seconds=None, most_pollers=1)
    polls = Polls(HangingQueue(), rules, clock=loop.time, random=Random(1))
    began = loop.time()

    assert await polls.receive(10) is None

    assert loop.time() - began == pytest.approx(10 + STALLED_SECONDS, abs=1)
    assert polls.problem == "receive fails: TimeoutError"
    assert polls.answered_at is None
