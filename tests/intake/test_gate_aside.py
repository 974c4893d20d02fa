"""What waits beside the gate: messages that cannot do without what their job may miss."""

import asyncio

import pytest

from tests.intake.doubles import BLOCKED, DOWN, FakeUpstreams, a_job, a_lease
from worker.intake.gate import ASIDE_SECONDS, Gate
from worker.intake.outcome import DONE, Retry, failure_of

OWN = Retry(failure_of("own", error_class="Unavailable", cause="own"))


@pytest.fixture
def upstreams():
    return FakeUpstreams(data_action="open")


@pytest.fixture
def gate(upstreams):
    job = a_job("voice", needs=["dynamodb"], may_miss=["data_action"], upstreams=upstreams)
    return Gate("voice", [job], most_aside=2)


async def aside(gate, count):
    """Set so many messages aside; return their tasks."""
    waiting = []
    for _ in range(count):
        assert gate.sets_aside(BLOCKED)
        waiting.append(asyncio.create_task(gate.wait_aside(a_lease(jobs=["voice"]))))
        await asyncio.sleep(0)
    return waiting


async def passed(waiting):
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [task.done() for task in waiting]


async def test_all_pass_when_the_upstream_is_back(gate, upstreams):
    waiting = await aside(gate, 2)
    assert await passed(waiting) == [False, False]

    upstreams.states["data_action"] = "closed"
    gate.check()

    assert await passed(waiting) == [True, True]


async def test_one_at_a_time_finds_out_whether_it_is_back(gate, upstreams):
    waiting = await aside(gate, 2)

    upstreams.states["data_action"] = "half_open"
    gate.check()
    assert await passed(waiting) == [True, False]
    gate.jobs["voice"].probing = object()
    gate.check()

    assert await passed(waiting) == [True, False]
    waiting[1].cancel()


@pytest.mark.looptime
async def test_a_message_is_tried_again_after_a_minute_at_most(gate):
    loop = asyncio.get_running_loop()
    [waiting] = await aside(gate, 1)
    began = loop.time()

    await waiting

    assert loop.time() - began == pytest.approx(ASIDE_SECONDS, abs=0.1)
    assert gate.waiting == 0


@pytest.mark.looptime
@pytest.mark.parametrize(("degrades_in", "waits"), [(7, 7), (-1, ASIDE_SECONDS)])
async def test_a_message_is_tried_again_as_it_may_go_without(gate, degrades_in, waits):
    loop = asyncio.get_running_loop()
    lease, began = a_lease(jobs=["voice"]), loop.time()
    lease.degrades_at = began + degrades_in

    await gate.wait_aside(lease)

    assert loop.time() - began == pytest.approx(waits, abs=0.2)


async def test_no_more_wait_than_may(gate):
    waiting = await aside(gate, 2)

    assert not gate.sets_aside(BLOCKED)
    for task in waiting:
        task.cancel()


@pytest.mark.parametrize(
    ("outcome", "waits"), [(BLOCKED, True), (DOWN, True), (OWN, False), (DONE, False)]
)
async def test_only_what_the_upstream_stopped_waits_for_it(gate, outcome, waits):
    assert gate.sets_aside(outcome) is waits


async def test_on_a_queue_of_several_jobs_nothing_waits_aside(upstreams):
    jobs = [a_job(name, may_miss=["data_action"], upstreams=upstreams) for name in "ab"]

    assert not Gate("all", jobs, most_aside=2).sets_aside(BLOCKED)


async def test_nothing_is_set_aside_while_the_upstream_is_ok_or_the_intake_stops(gate, upstreams):
    gate.stop()
    assert not gate.sets_aside(BLOCKED)
    gate.stopped = False
    upstreams.states["data_action"] = "closed"

    assert not gate.sets_aside(BLOCKED)


async def test_at_a_half_open_gate_only_a_probe_waits_aside():
    states = FakeUpstreams(conversations="half_open", crm="open")
    job = a_job("attributes", needs=["conversations"], may_miss=["crm"], upstreams=states)
    gate = Gate("attributes", [job], most_aside=2)

    assert gate.sets_aside(BLOCKED, probe=True)
    assert not gate.sets_aside(BLOCKED)
    states.states["conversations"] = "open"
    assert not gate.sets_aside(BLOCKED, probe=True)
