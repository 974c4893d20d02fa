"""Order per group under failures, groups side by side, no one left waiting behind a failed head."""

import asyncio
from collections import defaultdict
from random import Random

import pytest

from tests.support.factories import a_reference_body, a_voice_scored
from worker.emulators.sqs.control import Reset, When
from worker.errors import Permanent, Unavailable
from worker.events.origin import Result

pytestmark = pytest.mark.looptime  # all that is called is in the test's loop

GROUPS, PER_GROUP = 10, 20


@pytest.fixture
def dead_letters(sqs):
    return sqs.create_queue("dead-letters.fifo", FifoQueue="true")


@pytest.fixture
def queue(sqs):
    return sqs.create_queue("events.fifo", FifoQueue="true", VisibilityTimeout="10")


def send(sqs, queue, groups=GROUPS, per_group=PER_GROUP):
    """Send interleaved groups; return conversation ids by group, in order."""
    sent = defaultdict(list)
    for number in range(per_group):
        for group in range(groups):
            event = a_voice_scored()
            body = a_reference_body(event).decode()
            sqs.send(queue, body, group_id=f"g{group}", deduplication_id=f"{group}-{number}")
            sent[f"g{group}"].append(event.conversation_id)
    return sent


class Sometimes:
    """Notes what it did, in order; fails now and then, before it did anything."""

    def __init__(self, share, error=Unavailable):
        self.done = []
        self._share, self._random, self._error = share, Random(7), error

    async def __call__(self, event):
        await asyncio.sleep(0)
        if self._random.random() < self._share:
            raise self._error("now and then")
        self.done.append(event.conversation_id)
        return Result.OK


async def test_each_group_keeps_its_order_though_one_in_ten_fails(sqs, queue, start_intake):
    sent = send(sqs, queue)
    handler = Sometimes(0.1)

    async with start_intake(handler, RETRY_BASE_SECONDS=0.1, RETRY_CAP_SECONDS=1):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    for ids in sent.values():
        assert [one for one in handler.done if one in set(ids)] == ids


async def test_next_messages_of_a_failed_head_are_made_visible_again_at_once(
    sqs, queue, start_intake
):
    send(sqs, queue, groups=1, per_group=5)
    handler = Sometimes(1)

    async with start_intake(handler, RETRY_BASE_SECONDS=300):
        await sqs.wait_until(lambda: sqs.depth(queue).visible == 4, 8)
        assert sqs.depth(queue).in_flight == 1


async def test_a_group_goes_on_past_a_message_that_was_dead_lettered(
    sqs, queue, dead_letters, start_intake
):
    [ids] = send(sqs, queue, groups=1, per_group=5).values()
    handler = Sometimes(0.4, Permanent)

    async with start_intake(handler):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    dead_lettered = sqs.messages(dead_letters)
    assert len(dead_lettered) + len(handler.done) == 5
    assert dead_lettered
    assert [one for one in ids if one in handler.done] == handler.done
    assert {message.sent.group_id for message in dead_lettered} == {"g0"}


async def test_a_copy_that_was_sent_but_not_confirmed_is_dead_lettered_once(
    sqs, queue, dead_letters, start_intake
):
    sqs.faults.add("SendMessage", Reset(after_effect=True), When(last=2))
    send(sqs, queue, groups=1, per_group=1)

    async with start_intake(Sometimes(1, Permanent)):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 120)

    assert set(sqs.journal.receives.values()) == {2}
    assert len(sqs.messages(dead_letters)) == 1


async def test_a_failed_head_holds_up_no_other_group(sqs, queue, start_intake):
    sent = send(sqs, queue, groups=2, per_group=3)
    blocked = set(sent["g0"])

    class OneGroupFails(Sometimes):
        async def __call__(self, event):
            if event.conversation_id in blocked:
                raise Unavailable("for this group")
            return await super().__call__(event)

    handler = OneGroupFails(0)
    async with start_intake(handler, RETRY_BASE_SECONDS=300) as intake:
        await sqs.wait_until(lambda: len(handler.done) == 3, 60)
        assert list(intake.consumer.groups.blocked) == ["g0"]

    assert handler.done == sent["g1"]


async def test_a_drain_reports_each_message_of_a_group_once(sqs, queue, start_intake, recorder):
    send(sqs, queue, groups=1, per_group=5)
    begun = asyncio.Event()

    async def work():
        begun.set()
        await asyncio.Event().wait()

    async with start_intake(recorder(work)) as intake:
        await asyncio.wait_for(begun.wait(), 60)
        report = await intake.drain(2)

    assert (report.finished, report.released, report.stranded) == (0, 5, 0)


async def test_a_drain_lets_the_head_of_a_group_finish_and_releases_those_behind_it(
    sqs, queue, start_intake, recorder
):
    send(sqs, queue, groups=1, per_group=5)
    begun, release = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        await release.wait()

    async with start_intake(recorder(work)) as intake:
        await asyncio.wait_for(begun.wait(), 60)
        asyncio.get_running_loop().call_soon(release.set)
        report = await intake.drain(10)

    assert (report.finished, report.released, report.stranded) == (1, 4, 0)


async def test_next_messages_released_before_a_drain_are_none_of_its_business(
    sqs, queue, start_intake
):
    send(sqs, queue, groups=1, per_group=5)

    async with start_intake(Sometimes(1), RETRY_BASE_SECONDS=300) as intake:
        await sqs.wait_until(lambda: sqs.depth(queue).visible == 4, 8)
        while intake.consumer._tasks or intake.acks.outstanding:  # noqa: ASYNC110  their answers are on the way
            await asyncio.sleep(0.01)
        report = await intake.drain(10)

    assert (report.finished, report.released, report.stranded) == (0, 0, 0)
