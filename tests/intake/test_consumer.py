"""Receive, handle, settle, over a real queue server: each test is a lesson others paid for."""

import asyncio
import gc
import json

import pytest

from tests.intake.doubles import a_message
from tests.support.factories import a_reference_body, a_voice_scored
from worker.clients.aws import Message, Queue
from worker.emulators.sqs.control import (
    ACCESS_DENIED,
    HTTP_500,
    DeliverAgain,
    FailEntries,
    Reset,
    When,
)
from worker.emulators.sqs.model import Sending
from worker.errors import Permanent, RateLimited, Unavailable
from worker.intake.dead_letters import decode_body
from worker.intake.leases import Lease
from worker.resilience import Work
from worker.telemetry import metrics

pytestmark = pytest.mark.looptime  # all that is called is in the test's loop

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
SHORT_DEADLINES = {
    "HANDLER_DEADLINE_SECONDS": 1,
    "GENESYS_DEADLINE_SECONDS": 0.5,
    "GENESYS_TIMEOUT_SECONDS": 0.5,
}


@pytest.fixture
def cycles():
    """Collect nothing during the test; the call returns what only a collection would free."""
    gc.collect()
    gc.disable()

    def found():
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return tuple(gc.garbage)

    yield found
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def send(sqs, queue, count=1):
    """Send as many voice scores and return their conversation ids."""
    events = [a_voice_scored() for _ in range(count)]
    for event in events:
        sqs.send(queue, a_reference_body(event).decode())
    return [event.conversation_id for event in events]


def empty(sqs, queue):
    return lambda: sum(sqs.depth(queue)) == 0


def failing(*errors):
    """Return behaviours that raise these, one a run."""

    def behaviour(error):
        async def run():
            raise error

        return run

    return [behaviour(error) for error in errors]


async def test_each_message_is_handled_and_deleted(sqs, queue, start_intake, recorder):
    handler = recorder()
    ids = send(sqs, queue, 25)

    async with start_intake(handler):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert sorted(handler.seen) == sorted(ids)


async def test_a_receive_that_hangs_is_followed_by_another(
    sqs, queue, start_intake, recorder, monkeypatch
):
    handler, receive = recorder(), Queue.receive
    hung = iter([True])

    async def hangs_once(*arguments, **named):
        if next(hung, False):
            await asyncio.Event().wait()
        return await receive(*arguments, **named)

    monkeypatch.setattr(Queue, "receive", hangs_once)
    ids = send(sqs, queue, 1)

    async with start_intake(handler):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert handler.seen == ids


async def test_messages_leave_nothing_to_the_garbage_collector(
    sqs, queue, start_intake, recorder, cycles
):
    send(sqs, queue, 100)

    async with start_intake(recorder()):
        await sqs.wait_until(empty(sqs, queue), 60)
        found = cycles()

    assert [one for one in found if isinstance(one, Work | Lease | Message)] == []


async def test_acks_and_receives_are_batched(sqs, queue, start_intake, recorder):
    send(sqs, queue, 200)

    async with start_intake(recorder()):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert sqs.counts["DeleteMessageBatch"] <= 30
    assert sqs.counts["DeleteMessage"] == 0


async def test_no_more_run_at_once_than_allowed(sqs, queue, start_intake, recorder):
    handler = recorder(*[lambda: asyncio.sleep(0.02)] * 40)
    send(sqs, queue, 40)

    async with start_intake(handler, SQS_CONCURRENCY=7):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert handler.most_at_once == 7


async def test_nothing_is_received_that_cannot_run(sqs, queue, start_intake, recorder):
    release = asyncio.Event()
    handler = recorder(*[release.wait] * 20)
    send(sqs, queue, 20)

    async with start_intake(handler, SQS_CONCURRENCY=4):
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 4, 60)
        await asyncio.wait_for(_second_poll_would_have_come(), 30)
        assert sqs.depth(queue).in_flight == 4
        release.set()
        await sqs.wait_until(empty(sqs, queue), 60)


async def _second_poll_would_have_come():
    for _ in range(100):
        await asyncio.sleep(0)


async def test_one_slow_message_holds_up_no_other(sqs, queue, start_intake, recorder):
    release = asyncio.Event()
    handler = recorder(release.wait)
    send(sqs, queue, 30)

    async with start_intake(handler, SQS_CONCURRENCY=10):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 1, 60)
        assert len(handler.seen) == 29
        release.set()
        await sqs.wait_until(empty(sqs, queue), 60)


async def test_a_transient_failure_comes_back_and_succeeds(sqs, queue, start_intake, recorder):
    handler = recorder(*failing(Unavailable("down")))
    ids = send(sqs, queue)

    async with start_intake(handler):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert handler.seen == ids


async def test_an_asked_wait_is_set_as_the_visibility_timeout(sqs, queue, start_intake, recorder):
    send(sqs, queue)
    loop = asyncio.get_running_loop()

    async with start_intake(recorder(*failing(RateLimited("429", retry_after=3600)))):
        await sqs.wait_until(lambda: sqs.counts["ChangeMessageVisibilityBatch"] == 1, 60)
        [message] = sqs.messages(queue)

        assert 3590 < message.hidden_until - loop.time() <= 3601


async def test_a_wait_beyond_what_sqs_allows_is_clamped_not_refused(
    sqs, queue, start_intake, recorder
):
    send(sqs, queue)
    loop = asyncio.get_running_loop()

    async with start_intake(recorder(*failing(RateLimited("429", retry_after=86400)))):
        await sqs.wait_until(lambda: sqs.counts["ChangeMessageVisibilityBatch"] == 1, 60)
        [message] = sqs.messages(queue)

        assert 43000 < message.hidden_until - loop.time() <= 43200


async def test_a_permanent_failure_is_dead_lettered_once_with_its_reason(
    sqs, queue, dead_letters, start_intake, recorder
):
    send(sqs, queue)

    async with start_intake(recorder(*failing(Permanent("no such thing")))):
        await sqs.wait_until(empty(sqs, queue), 60)

    [dead_lettered] = sqs.messages(dead_letters)
    note = json.loads(dead_lettered.sent.attributes["worker.failure"].value)
    assert (note["reason"], note["job"], note["errorClass"]) == (
        "no such thing",
        "voice",
        "Permanent",
    )


async def test_a_dead_lettered_message_keeps_its_trace(
    sqs, queue, dead_letters, start_intake, recorder
):
    sqs._queues.find(queue).send(Sending(body="no JSON", trace_header=TRACE))

    async with start_intake(recorder()):
        await sqs.wait_until(empty(sqs, queue), 10)

    [dead_lettered] = sqs.messages(dead_letters)
    assert dead_lettered.sent.trace_header == TRACE


async def test_a_body_too_long_for_its_note_is_dead_lettered_packed(
    sqs, queue, dead_letters, start_intake, recorder
):
    body = '"' + "x" * (1_048_576 - 2) + '"'
    sqs.send(queue, body)

    async with start_intake(recorder()):
        await sqs.wait_until(empty(sqs, queue), 60)

    [dead_lettered] = sqs.messages(dead_letters)
    note = json.loads(dead_lettered.sent.attributes["worker.failure"].value)
    assert note["bodyEncoding"] == "gzip+base64"
    assert decode_body(dead_lettered.sent.body, {}, note).body == body


async def test_a_failure_older_than_the_horizon_is_dead_lettered(
    sqs, queue, dead_letters, start_intake, recorder
):
    send(sqs, queue)

    async with start_intake(
        recorder(*failing(*[Unavailable("down")] * 9)),
        RETRY_HORIZON_SECONDS=1,
        RETRY_CAP_SECONDS=1,
    ):
        await sqs.wait_until(empty(sqs, queue), 60)

    [dead_lettered] = sqs.messages(dead_letters)
    note = json.loads(dead_lettered.sent.attributes["worker.failure"].value)
    assert note["reason"] == "retry horizon passed; last: down"
    assert note["attempts"] >= 1


async def test_a_message_that_cannot_be_dead_lettered_is_not_deleted(
    sqs, queue, dead_letters, start_intake, recorder
):
    sqs.faults.add("SendMessage", ACCESS_DENIED)
    send(sqs, queue)
    before = metrics.dead_letter_failures._value.get()

    async with start_intake(recorder(*failing(Permanent("no such thing")))):
        await sqs.wait_until(lambda: sqs.counts["ChangeMessageVisibilityBatch"] == 1, 60)

    assert sum(sqs.depth(queue)) == 1
    assert sum(sqs.depth(dead_letters)) == 0
    assert metrics.dead_letter_failures._value.get() - before == 1


async def test_only_the_entries_that_failed_are_deleted_again(sqs, queue, start_intake, recorder):
    sqs.faults.add("DeleteMessageBatch", FailEntries(1), When(last=2))
    handler = recorder()
    ids = send(sqs, queue, 10)

    async with start_intake(handler):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert sorted(handler.seen) == sorted(ids)
    assert set(sqs.journal.receives.values()) == set(sqs.journal.deletes.values()) == {1}


async def test_a_message_whose_delete_was_refused_is_deleted_and_not_run_when_it_comes_again(
    sqs, queue, start_intake, recorder
):
    sqs.faults.add("DeleteMessageBatch", FailEntries(1, sender_fault=True), When(last=1))
    handler = recorder()
    ids = send(sqs, queue)
    before = metrics.messages_duplicate._value.get()

    async with start_intake(handler) as intake:
        await sqs.wait_until(empty(sqs, queue), 60)

    assert len(intake.leases) == 0
    assert handler.seen == ids
    assert set(sqs.journal.receives.values()) == {2}
    assert metrics.messages_duplicate._value.get() - before == 1


async def work_on(consumer, message):
    """Begin a message that has a permit, and wait until its work has ended."""
    await consumer._permits.acquire(consumer.name)
    [lease] = consumer.leases.hold([message])
    lease.has_permit = True
    consumer.delivery.open_ahead([lease])
    consumer._begin(lease)
    await consumer._tasks[lease]


async def test_a_copy_of_a_finished_message_is_not_run_though_sqs_counts_its_first_receive(
    start_intake, recorder
):
    handler = recorder()
    body = a_reference_body(a_voice_scored()).decode()
    before = metrics.messages_duplicate._value.get()

    async with start_intake(handler) as intake:
        intake.consumer._acks._finished["m"] = None
        await work_on(intake.consumer, a_message("m", receives=1, body=body))

    assert handler.seen == []
    assert metrics.messages_duplicate._value.get() - before == 1


async def test_a_message_whose_cause_is_at_its_limit_is_not_run_when_it_comes_again(
    start_intake, recorder
):
    handler = recorder()
    body = a_reference_body(a_voice_scored()).decode()

    async with start_intake(handler) as intake:
        intake.consumer.settlement._limit.defer_again = lambda _message_id: 60.0
        await work_on(intake.consumer, a_message("m", receives=2, body=body))

    assert handler.seen == []


async def test_a_message_whose_gate_closed_after_its_receive_waits_there_without_a_permit(
    start_intake, recorder
):
    handler, met = recorder(), []
    body = a_reference_body(a_voice_scored()).decode()

    async with start_intake(handler) as intake:
        gate = intake.consumer.gate
        gate.state = "closed"

        async def enter(lease):
            met.append((lease.has_permit, len(handler.seen)))

        gate.enter = enter
        await work_on(intake.consumer, a_message("m", body=body))

    assert met == [(False, 0)]
    assert len(handler.seen) == 1


async def test_a_second_copy_is_not_run_beside_the_first(sqs, queue, start_intake, recorder):
    sqs.faults.add("ReceiveMessage", DeliverAgain(), When(last=1))
    release = asyncio.Event()
    handler = recorder(release.wait)
    ids = send(sqs, queue)
    before = metrics.messages_duplicate._value.get()

    async with start_intake(handler):
        await sqs.wait_until(lambda: max(sqs.journal.receives.values(), default=0) >= 2, 60)
        release.set()
        await sqs.wait_until(empty(sqs, queue), 60)

    assert handler.seen == ids
    assert metrics.messages_duplicate._value.get() > before


@pytest.mark.parametrize(
    "fault", [HTTP_500, ACCESS_DENIED, Reset()], ids=["500", "denied", "reset"]
)
async def test_a_poller_survives_any_failure_of_receives(
    fault, sqs, queue, start_intake, recorder, monkeypatch
):
    monkeypatch.setattr("worker.intake.poller.PAUSE_SECONDS", (0.01, 0.05))
    handler = recorder()

    async with start_intake(handler) as intake:
        sqs.faults.add("ReceiveMessage", fault, When(last=5))
        ids = send(sqs, queue, 3)
        await sqs.wait_until(empty(sqs, queue), 60)
        assert not intake.consuming.done()

    assert sorted(handler.seen) == sorted(ids)


async def test_a_lease_is_kept_while_the_handler_works(sqs, queue, start_intake, recorder):
    handler = recorder(lambda: asyncio.sleep(5))
    ids = send(sqs, queue)

    async with start_intake(handler):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert handler.seen == ids
    assert set(sqs.journal.receives.values()) == {1}


async def test_a_handler_whose_lease_is_lost_is_cancelled_and_says_nothing(
    sqs, queue, start_intake, recorder
):
    cancelled = asyncio.Event()

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    sqs.faults.add(
        "ChangeMessageVisibilityBatch",
        FailEntries(1, shape="ReceiptHandleIsInvalid", sender_fault=True),
        When(last=1),
    )
    handler = recorder(work)
    send(sqs, queue)

    async with start_intake(handler) as intake:
        async with asyncio.timeout(30):
            await cancelled.wait()
        await intake.drain()
        assert sqs.counts["ChangeMessageVisibilityBatch"] == 1

    assert sqs.counts["DeleteMessageBatch"] == 0
    assert handler.seen == []


async def test_a_handler_past_its_deadline_is_cancelled_and_its_message_retried(
    sqs, queue, start_intake, recorder
):
    handler = recorder(lambda: asyncio.sleep(60))
    ids = send(sqs, queue)

    async with start_intake(handler, **SHORT_DEADLINES):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert handler.seen == ids


async def test_what_a_late_poll_brings_is_made_visible_again_at_once(
    sqs, queue, start_intake, recorder
):
    handler = recorder()

    async with start_intake(handler) as intake:
        async with asyncio.timeout(30):
            while not sqs.counts["ReceiveMessage"]:  # noqa: ASYNC110  a poll begins in silence
                await asyncio.sleep(0)
        intake.consumer.stop()
        send(sqs, queue)
        report = await intake.drain()

    assert handler.seen == []
    assert sum(sqs.journal.receives.values()) == 1
    assert sqs.depth(queue).visible == 1
    assert report.stranded == 0


async def test_types_no_job_wants_are_dead_lettered_when_the_operator_says_so(
    sqs, queue, dead_letters, start_intake, recorder
):
    sqs.send(queue, '{"detail-type": "v2.unknown", "detail": {}}')

    async with start_intake(recorder(), EVENTS_UNROUTED="park"):
        await sqs.wait_until(empty(sqs, queue), 60)

    [dead_lettered] = sqs.messages(dead_letters)
    note = json.loads(dead_lettered.sent.attributes["worker.failure"].value)
    assert note["reason"] == "detail-type: no job wants v2.unknown"


async def test_others_that_succeed_do_not_displace_the_memory_of_a_refused_delete(
    sqs, queue, start_intake, recorder, monkeypatch
):
    monkeypatch.setattr("worker.intake.acks.REMEMBERED", 5)
    sqs.faults.add("DeleteMessageBatch", FailEntries(1, sender_fault=True), When(last=1))
    send(sqs, queue, 30)
    before = metrics.messages_duplicate._value.get()

    async with start_intake(recorder()):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert sorted(sqs.journal.receives.values()) == [1] * 29 + [2]
    assert metrics.messages_duplicate._value.get() - before == 1
