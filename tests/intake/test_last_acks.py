"""The end of a drain: leases outlive it, and a second signal is heard to the last ack."""

import asyncio

import pytest

from tests.support.factories import a_reference_body, a_voice_scored
from worker.app.daemon import FORCED_SECONDS, Daemon, Signals
from worker.emulators.sqs.control import Slow
from worker.intake.consumer import CANCEL_SECONDS


class Ended(BaseException):
    """The process would be gone."""


@pytest.mark.looptime
async def test_a_second_signal_ends_the_process_while_deletes_hang(
    sqs, queue, start_intake, recorder, monkeypatch
):
    def end(_code):
        raise Ended

    monkeypatch.setattr("worker.app.daemon.os._exit", end)
    sqs.faults.add("DeleteMessageBatch", Slow(3600))
    sqs.send(queue, a_reference_body(a_voice_scored()).decode())
    signals, loop = Signals(), asyncio.get_running_loop()

    async with start_intake(recorder()) as intake:
        while not sqs.counts["DeleteMessageBatch"]:  # noqa: ASYNC110  a call begins in silence
            await asyncio.sleep(0.1)  # of virtual time
        daemon = Daemon(intake.parts, sampler=None, health=None, drain_seconds=1)
        signals.came()
        draining = asyncio.create_task(daemon._drain(signals))
        await asyncio.sleep(1 + CANCEL_SECONDS + 0.5)
        assert not draining.done()
        signals.came()
        began = loop.time()
        with pytest.raises(Ended):
            await draining
        assert loop.time() - began <= FORCED_SECONDS + 0.1
        sqs.faults.clear()


class Idle:
    """A part of the worker with nothing to do."""

    async def run(self):
        await asyncio.Event().wait()

    def drain(self):
        pass


@pytest.mark.looptime
async def test_leases_are_extended_for_as_long_as_a_drain_lasts(
    sqs, queue, start_intake, recorder, monkeypatch
):
    monkeypatch.setattr("worker.app.daemon.spare_collections", lambda: None)
    begun = asyncio.Event()

    async def work():
        begun.set()
        await asyncio.sleep(40)

    sqs.send(queue, a_reference_body(a_voice_scored()).decode())
    signals = Signals()
    async with start_intake(recorder(work)) as intake:
        intake.heartbeat.cancel()  # the daemon has its own
        daemon = Daemon(intake.parts, sampler=Idle(), health=Idle(), drain_seconds=50)
        running = asyncio.create_task(daemon.run(signals))
        await begun.wait()
        signals.came()
        await asyncio.sleep(30)
        visible = sqs.depth(queue).visible
        code = await running

    assert (code, visible) == (0, 0)
    assert sum(sqs.depth(queue)) == 0
