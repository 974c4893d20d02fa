"""The arena with a queue per job: what is sent, waited for and counted is on all of them."""

from random import Random

import pytest

from tests.chaos.arena import open_arena
from tests.support.quick_aws import quick_aws  # noqa: F401  a fixture
from worker.demo import Effects
from worker.jobs.workflow.demo import EndedJob


async def test_an_event_of_two_jobs_is_a_message_on_the_queue_of_each():
    chat_end = EndedJob(0, 1, Random(1)).traffic()[0]

    async with open_arena(1, queues="per-job") as arena:
        ids = arena.send([chat_end])

        assert {arena.sent[one].queue_of for one in ids} == {"workflow", "sentiment"}
        assert sorted(arena.history().left) == sorted(ids)
        assert [len(arena.receives(job)) for job in ("workflow", "sentiment", "voice")] == [1, 1, 0]
        assert not await arena.settled(0.05)


class Marks:
    """A job of whose five marks three were found."""

    async def effects(self, _):
        return [Effects("marks", 5, 3, best_effort="a_mark")]


@pytest.mark.parametrize(("counted", "kept"), [(None, False), (1, False), (2, True), (3, False)])
async def test_what_was_let_go_may_be_missing_and_nothing_else(counted, kept):
    figures = {'worker_best_effort_failures_total{effect="a_mark"}': counted}

    async with open_arena(1) as arena:
        await arena.expect_effects([Marks()], figures if counted is not None else None)

        assert (not arena.findings.violations) is kept
