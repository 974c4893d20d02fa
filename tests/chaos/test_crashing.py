"""The worker that two messages crash, as a run of `crashes` needs it: each of them does."""

import pytest

from tests.chaos.arena import open_arena
from tests.chaos.scenarios.crashes import CRASHED, PROGRAM, a_score
from tests.support.quick_aws import quick_aws  # noqa: F401  a fixture
from worker.demo import an_id


@pytest.mark.parametrize("sent", [0, 1], ids=["in its handler", "by its body"])
async def test_either_message_ends_the_worker(sent):
    async with open_arena(1) as arena:
        killers = [an_id(arena.random), an_id(arena.random)]
        worker = await arena.worker(program=PROGRAM, KILLERS=",".join(killers))
        arena.send([a_score(killers[sent])])

        await worker.start(until_ready=False)

        assert await worker.wait(150) == CRASHED
