"""Deletes and releases: batched, each entry by itself, and no future for a message."""

import asyncio
import gc
from random import Random

import pytest
from structlog.testing import capture_logs

from tests.intake.doubles import a_message, a_source
from tests.support.factories import a_reference_body, a_voice_scored
from worker.clients.aws.errors import EntryFailed, QueueError
from worker.emulators.sqs.control import ACCESS_DENIED, FailEntries, Slow, When
from worker.intake.acks import RELEASE_ATTEMPTS, Acks
from worker.intake.leases import DENIED_SECONDS, LEASE_LOST, NEWS_SECONDS, Leases

BUSY = EntryFailed("InternalFailure", sender_fault=False)
LOST = EntryFailed("ReceiptHandleIsInvalid", sender_fault=True)
DENIED = QueueError("delete_message_batch", "AccessDenied")


class Script:
    """A queue whose answers are written beforehand; well when none is left."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    async def delete(self, receipts):
        return await self._answer("delete", receipts)

    async def change_visibility(self, entries):
        return await self._answer("hide", entries)

    async def _answer(self, what, entries):
        self.calls.append((what, list(entries)))
        answer = self.answers.pop(0) if self.answers else None
        await asyncio.sleep(0)
        if isinstance(answer, Exception) and not isinstance(answer, EntryFailed):
            raise answer
        if isinstance(answer, list):
            return answer
        return [answer] * len(entries)


class Parts:
    def __init__(self, *answers, flush_seconds=0.1):
        self.queue = Script(*answers)
        loop = asyncio.get_running_loop()
        self.leases = Leases(self.queue, a_source(), visibility_seconds=30, clock=loop.time)
        self.reported = []
        self.acks = Acks(
            self.queue,
            self.leases,
            flush_seconds=flush_seconds,
            random=Random(1),
            settled=lambda lease, gone: self.reported.append((lease.message.id, gone)),
        )

    def hold(self, message_id="m"):
        lease = self.leases.hold([a_message(message_id, at=asyncio.get_running_loop().time())])[0]
        lease.settled = True
        return lease

    def delete(self, count=1):
        leases = [self.hold(f"m{number}") for number in range(count)]
        for lease in leases:
            self.acks.delete(lease)
        return leases

    def sizes(self, what="delete"):
        return [len(entries) for name, entries in self.queue.calls if name == what]


@pytest.mark.looptime
async def test_ten_deletes_are_a_call_at_once_and_the_rest_after_a_moment():
    parts = Parts()
    parts.delete(23)
    await asyncio.sleep(0)
    assert parts.sizes() == [10, 10]

    await asyncio.sleep(0.2)

    assert parts.sizes() == [10, 10, 3]
    assert len(parts.leases) == 0


@pytest.mark.looptime
async def test_a_thousand_deletes_need_no_future_and_no_task_each():
    parts = Parts()
    before = len(asyncio.all_tasks())
    gc.collect()
    futures = sum(isinstance(one, asyncio.Future) for one in gc.get_objects())

    parts.delete(1000)

    assert len(asyncio.all_tasks()) - before <= 16
    assert sum(isinstance(one, asyncio.Future) for one in gc.get_objects()) - futures <= 32
    await parts.acks.close()
    assert len(parts.reported) == 1000


@pytest.mark.looptime
async def test_each_entry_of_a_batch_has_its_own_result():
    parts = Parts([None, BUSY, LOST])
    done, busy, lost = parts.delete(3)

    await parts.acks.close()

    assert parts.sizes() == [3, 1]
    assert parts.queue.calls[1][1] == [busy.message.receipt]
    assert sorted(parts.reported) == [("m0", True), ("m1", True), ("m2", False)]
    assert len(parts.leases) == 0
    assert [parts.acks.finished(lease.message.id) for lease in (done, busy, lost)] == [True] * 3


@pytest.mark.looptime
async def test_a_delete_is_tried_again_for_as_long_as_its_lease_lives():
    parts = Parts(*[DENIED] * 1000)
    [lease] = parts.delete()
    await asyncio.sleep(600)
    assert len(parts.queue.calls) > 100
    assert len(parts.leases) == 1  # the heartbeat goes on for it

    lease.why_cancelled = LEASE_LOST
    calls = len(parts.queue.calls)
    await parts.acks.close()

    assert len(parts.queue.calls) <= calls + 1
    assert parts.reported == [("m0", False)]
    assert parts.acks.finished("m0")


@pytest.mark.looptime
async def test_the_newest_receipt_is_used_at_the_flush():
    parts = Parts()
    [_lease] = parts.delete()
    newer = a_message("m0", at=asyncio.get_running_loop().time())
    assert parts.leases.hold([newer])[0] is None

    await parts.acks.close()

    assert parts.queue.calls == [("delete", [newer.receipt])]


@pytest.mark.looptime
async def test_a_release_is_given_up_after_three_attempts_and_reported_once():
    parts = Parts(*[QueueError("change_message_visibility_batch", "ServiceUnavailable")] * 50)
    parts.acks.release(parts.hold(), 5)

    await parts.acks.close()

    assert parts.sizes("hide") == [1] * (RELEASE_ATTEMPTS + 1)
    assert parts.reported == [("m", False)]


@pytest.mark.looptime
async def test_a_release_is_out_of_the_heartbeat_before_it_is_sent():
    parts = Parts()
    lease = parts.hold()

    parts.acks.release(lease, 5)

    assert len(parts.leases) == 0


@pytest.mark.looptime
async def test_a_lease_that_is_another_consumers_is_reported_once_and_nothing_is_sent():
    parts = Parts()
    lease = parts.hold()

    parts.acks.lost(lease)
    await parts.acks.close()

    assert (parts.reported, parts.queue.calls) == ([("m", False)], [])


# What it says of itself


def failing(parts, for_seconds=5.0):
    now = asyncio.get_running_loop().time()
    return {a: p.code for a, p in parts.acks.problems.items() if p.holds(now, for_seconds)}


@pytest.mark.looptime
async def test_denied_deletes_are_named_since_they_began_until_one_goes_through():
    parts = Parts(*[DENIED] * 20)
    began = asyncio.get_running_loop().time()
    parts.delete()
    await asyncio.sleep(4)
    assert failing(parts) == {}
    await asyncio.sleep(10)

    assert failing(parts) == {"DeleteMessage": "AccessDenied"}
    assert parts.acks.problems["DeleteMessage"].since == pytest.approx(began, abs=0.5)
    await parts.acks.close()
    assert failing(parts, 0) == {}


@pytest.mark.looptime
async def test_a_delete_whose_lease_was_lost_says_nothing_of_the_action():
    """On a quiet queue no other call may follow for hours: not ready all that time."""
    parts = Parts([LOST])
    parts.delete()
    await parts.acks.close()
    await asyncio.sleep(10)

    assert failing(parts, 0) == {}


@pytest.mark.looptime
async def test_one_failure_is_no_news_after_a_minute_without_another():
    parts = Parts(*[QueueError("change_message_visibility_batch", "ServiceUnavailable")] * 4)
    parts.acks.release(parts.hold(), 5)
    await parts.acks.close()
    assert failing(parts, 0) == {"ChangeMessageVisibility": "ServiceUnavailable"}

    await asyncio.sleep(NEWS_SECONDS)

    assert failing(parts, 0) == {}


@pytest.mark.looptime
async def test_a_denial_stays_named_while_nothing_tries_the_action_again():
    denied = QueueError("change_message_visibility_batch", "AccessDenied")
    parts = Parts(*[denied] * (RELEASE_ATTEMPTS + 1))
    parts.acks.release(parts.hold(), 5)
    await parts.acks.close()
    await asyncio.sleep(DENIED_SECONDS / 2)
    assert failing(parts) == {"ChangeMessageVisibility": "AccessDenied"}

    await asyncio.sleep(DENIED_SECONDS / 2)

    assert failing(parts) == {}


# On the emulated queue


def send(sqs, queue, count, group=None):
    for number in range(count):
        body = a_reference_body(a_voice_scored()).decode()
        sqs.send(queue, body, group_id=group, deduplication_id=group and str(number))


@pytest.mark.looptime
async def test_a_consumer_names_the_deletes_that_are_denied(sqs, queue, start_intake, recorder):
    sqs.faults.add("DeleteMessageBatch", ACCESS_DENIED)
    send(sqs, queue, 3)

    async with start_intake(recorder()) as intake:
        await asyncio.sleep(30)
        named = dict(intake.consumer.failing(for_seconds=5))
        sqs.faults.clear()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

        assert named == {"DeleteMessage": "AccessDenied"}
        assert dict(intake.consumer.failing()) == {}


@pytest.mark.looptime
async def test_a_heartbeat_that_fails_is_named_and_forgotten_with_the_outage(
    sqs, queue, start_intake, recorder
):
    sqs.faults.add("ChangeMessageVisibilityBatch", Slow(1), When(last=1))
    send(sqs, queue, 1)

    async with start_intake(recorder(lambda: asyncio.sleep(20))) as intake:
        await asyncio.sleep(5)
        await sqs.stop()
        await asyncio.sleep(1)
        named = dict(intake.consumer.failing())
        await sqs.start()
        await asyncio.sleep(NEWS_SECONDS + 5)

        assert list(named) == ["ChangeMessageVisibility of the heartbeat"]
        assert dict(intake.consumer.failing()) == {}


@pytest.mark.looptime
async def test_a_denied_heartbeat_is_an_error_once_a_minute(sqs, queue, start_intake, recorder):
    sqs.faults.add("ChangeMessageVisibilityBatch", ACCESS_DENIED)
    send(sqs, queue, 1)

    with capture_logs() as lines:
        async with start_intake(recorder(lambda: asyncio.sleep(50))):
            await sqs.wait_until(lambda: sqs.counts["ChangeMessageVisibilityBatch"] >= 3, 60)

    levels = [one["log_level"] for one in lines if one["event"] == "heartbeat_failed"]
    assert levels == ["error"]


@pytest.mark.looptime
async def test_closing_ends_though_sqs_answers_ever_so_slowly(sqs, queue, start_intake, recorder):
    send(sqs, queue, 25)
    sqs.faults.add("DeleteMessageBatch", Slow(30), When(last=3))
    loop = asyncio.get_running_loop()

    async with start_intake(recorder()) as intake:
        await sqs.wait_until(lambda: sqs.counts["DeleteMessageBatch"] >= 3, 60)
        began = loop.time()
        await intake.consumer.drain(1)
        await intake.acks.close()

        assert loop.time() - began < 20
    assert sum(sqs.depth(queue)) == 0


@pytest.mark.looptime
async def test_the_end_of_a_fifo_message_is_reported_once_whatever_its_deletes_meet(
    sqs, dead_letters, start_intake, recorder
):
    queue = sqs.create_queue("events.fifo", FifoQueue="true", VisibilityTimeout="10")
    dead_letters = sqs.create_queue("dead.fifo", FifoQueue="true")
    sqs.faults.add("DeleteMessageBatch", FailEntries(1), When(every=2))
    send(sqs, queue, 10, group="g")
    reported = []

    async with start_intake(
        recorder(), SQS_QUEUE_URL=queue, SQS_DEAD_LETTER_QUEUE_URL=dead_letters
    ) as intake:
        groups = intake.acks.settled

        def note(lease, gone):
            reported.append((lease.message.id, gone))
            groups(lease, gone)

        intake.acks.settled = note
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 120)
        await intake.acks.close()

    assert sorted(reported) == sorted({(message_id, True) for message_id, _ in reported})
    assert len(reported) == 10
