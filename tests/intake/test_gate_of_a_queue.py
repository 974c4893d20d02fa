"""The gate in the running intake: what is received, and what waits, while it is not open."""

import asyncio

import pytest

from tests.intake.doubles import FakeUpstreams
from tests.support.factories import a_reference_body, a_voice_scored
from worker.emulators.sqs.control import FailEntries, When
from worker.errors import BreakerOpen
from worker.events.origin import Result


def send(sqs, queue, count, group=None):
    for number in range(count):
        body = a_reference_body(a_voice_scored()).decode()
        sqs.send(queue, body, group_id=group, deduplication_id=group and str(number))


class Upstream(FakeUpstreams):
    """What the job needs; its handler meets an open breaker while it is not ok."""

    def __init__(self):
        super().__init__(up="closed")
        self.asked = []
        self.go = asyncio.Event()
        self.go.set()

    def attach(self, intake):
        intake.parts.delivery.jobs["voice"]._upstreams = self

    async def __call__(self, event):
        self.asked.append(asyncio.get_running_loop().time())
        await self.go.wait()
        if self.states["up"] != "closed":
            raise BreakerOpen("breaker of up is open", retry_after=5)
        return Result.OK


@pytest.mark.looptime
async def test_pollers_that_wait_for_permits_receive_nothing_once_the_gate_has_closed(
    sqs, queue, start_intake
):
    """What fails gives its permits back at the gate, and the pollers were waiting for them."""
    upstream = Upstream()
    upstream.go.clear()
    send(sqs, queue, 60)

    async with start_intake(upstream, needs=("up",), SQS_CONCURRENCY=20) as intake:
        upstream.attach(intake)
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 20, 10)
        await asyncio.sleep(1)
        upstream.states["up"] = "open"
        upstream.go.set()
        await asyncio.sleep(30)

        assert sqs.depth(queue).in_flight == 20
        upstream.states["up"] = "closed"
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)

    assert set(sqs.journal.receives.values()) == {1}


@pytest.mark.looptime
async def test_a_half_open_gate_receives_one_message_and_asks_at_once(sqs, queue, start_intake):
    """A second receive, begun before the first message had reached the gate, held it up."""
    upstream = Upstream()

    async with start_intake(
        upstream, needs=("up",), SQS_WAIT_SECONDS=20, SQS_DRAIN_SECONDS=30
    ) as intake:
        upstream.attach(intake)
        upstream.states["up"] = "open"
        await asyncio.sleep(25)
        send(sqs, queue, 1)
        upstream.states["up"] = "half_open"
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1)

        assert [at - began < 1 for at in upstream.asked][:1] == [True]
        upstream.states["up"] = "closed"
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)


@pytest.mark.looptime
async def test_a_half_open_gate_takes_no_second_message_while_the_first_probes(
    sqs, queue, start_intake
):
    upstream = Upstream()

    async with start_intake(upstream, needs=("up",)) as intake:
        upstream.attach(intake)
        upstream.states["up"] = "open"
        await asyncio.sleep(5)
        send(sqs, queue, 50)
        upstream.go.clear()
        upstream.states["up"] = "half_open"
        await asyncio.sleep(10)
        in_flight = sqs.depth(queue).in_flight
        upstream.states["up"] = "closed"
        upstream.go.set()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)

    assert in_flight == 1


@pytest.mark.looptime
async def test_a_half_open_gate_uses_up_no_receives_while_what_the_job_may_miss_is_down(
    sqs, queue, start_intake
):
    """No probe reached what the gate waited for, and each was sent back for the next one."""
    upstream = Upstream()
    send(sqs, queue, 50)

    async with start_intake(upstream, needs=("up",)) as intake:
        upstream.attach(intake)
        intake.parts.delivery.jobs["voice"].may_miss = ("missed",)
        upstream.states |= {"up": "half_open", "missed": "open"}
        await asyncio.sleep(200)
        in_flight = sqs.depth(queue).in_flight
        upstream.states |= {"up": "closed", "missed": "closed"}
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 10)

    assert in_flight == 50
    assert set(sqs.journal.receives.values()) == {1}


@pytest.mark.looptime
async def test_what_waits_at_a_gate_keeps_its_lease_and_gives_its_permit_back(
    sqs, queue, start_intake
):
    upstream = Upstream()
    upstream.go.clear()
    send(sqs, queue, 10)  # of a queue that hides for three seconds

    async with start_intake(upstream, needs=("up",)) as intake:
        upstream.attach(intake)
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 10, 10)
        upstream.states["up"] = "open"
        upstream.go.set()
        await asyncio.sleep(200)

        assert intake.permits.free == intake.permits.count
        assert sqs.depth(queue) == (0, 10, 0)
        upstream.states["up"] = "closed"
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)

    assert set(sqs.journal.receives.values()) == {1}


@pytest.mark.looptime
async def test_a_later_message_whose_lease_was_lost_is_not_run(sqs, dead_letters, start_intake):
    """Another consumer may run it by then: it would be done twice, and out of order."""
    queue = sqs.create_queue("events.fifo", FifoQueue="true", VisibilityTimeout="10")
    dead_letters = sqs.create_queue("dead.fifo", FifoQueue="true")
    ran, go = [], asyncio.Event()

    async def handle(event):
        ran.append(event.conversation_id)
        await go.wait()
        return Result.OK

    send(sqs, queue, 2, group="g")
    urls = {"SQS_QUEUE_URL": queue, "SQS_DEAD_LETTER_QUEUE_URL": dead_letters}
    async with start_intake(handle, **urls) as intake:
        while len(intake.leases) < 2:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(0.01)
        [_, next_message] = list(intake.leases)
        intake.leases._lose(next_message)
        go.set()
        await sqs.wait_until(lambda: len(sqs.messages(queue)) == 1, 10)
        await asyncio.sleep(1)

        assert len(ran) == 1
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)

    assert len(ran) == 2


@pytest.mark.looptime
async def test_a_probe_that_another_open_breaker_refuses_does_not_spin(sqs, queue, start_intake):
    """Voice needs its table and may miss the data action: both down, a probe proves nothing."""
    upstream = Upstream()
    send(sqs, queue, 3)

    async with start_intake(upstream, needs=("up",)) as intake:
        upstream.attach(intake)
        upstream.states["up"] = "half_open"
        await asyncio.sleep(60)
        asked = len(upstream.asked)
        upstream.states["up"] = "closed"
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)

    assert 1 <= asked <= 10


@pytest.mark.looptime
async def test_releases_that_fail_leave_the_gate_usable(sqs, queue, start_intake):
    upstream = Upstream()
    sqs.faults.add("ChangeMessageVisibilityBatch", FailEntries(10), When(last=5))
    send(sqs, queue, 5)

    async with start_intake(upstream, needs=("up",)) as intake:
        upstream.attach(intake)
        upstream.states["up"] = "half_open"
        await asyncio.sleep(20)
        upstream.states["up"] = "closed"
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)
