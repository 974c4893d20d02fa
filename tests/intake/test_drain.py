"""SIGTERM in any state of the intake: nothing is stranded, every message is reported once."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.intake.doubles import a_problem
from tests.support.factories import a_reference_body, a_voice_scored
from worker.app.daemon import Daemon, Signals
from worker.emulators.sqs.control import Slow
from worker.events.origin import Result
from worker.intake.gate import CHECK_SECONDS
from worker.resilience.work import waiting_for


def send(sqs, queue, count, group=None):
    for number in range(count):
        body = a_reference_body(a_voice_scored()).decode()
        sqs.send(queue, body, group_id=group, deduplication_id=group and str(number))


class Idle:
    """A part of the worker with nothing to do."""

    async def run(self):
        await asyncio.Event().wait()

    def drain(self):
        pass


class Ended(BaseException):
    """The process would be gone."""


@pytest.fixture
def exits(monkeypatch):
    """Return the codes by which the process would have ended the hard way."""
    codes = []

    def end(code):
        codes.append(code)
        raise Ended

    monkeypatch.setattr("worker.app.daemon.os._exit", end)
    monkeypatch.setattr("worker.app.daemon.spare_collections", lambda: None)
    return codes


@pytest.fixture
def start_daemon(start_intake, exits):
    """Return a context manager: the intake under a daemon; yields intake, signals and its task."""

    @asynccontextmanager
    async def start(handler, drain_seconds=25, **settings):
        async with start_intake(handler, **settings) as intake:
            intake.heartbeat.cancel()  # the daemon has its own, and its own consumers' tasks
            intake.consuming.cancel()
            await asyncio.wait([intake.heartbeat, intake.consuming])
            for poller in list(intake.consumer._pollers):
                poller.cancel()
            intake.consumer._pollers.clear()
            signals = Signals()
            daemon = Daemon(
                intake.parts, sampler=Idle(), health=Idle(), drain_seconds=drain_seconds
            )
            running = asyncio.create_task(daemon.run(signals))
            yield intake, signals, running
            if not running.done():
                running.cancel()
                await asyncio.wait([running])

    return start


async def within(seconds, running):
    """Return the exit code and how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        code = await running
    return code, loop.time() - began


class Holds:
    """A handler that begins, and goes on when it is asked to."""

    def __init__(self):
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self, event):
        self.begun += 1
        await self.go.wait()
        return Result.OK


class Waits(Holds):
    """A handler that only waits for the request budget, or for a token."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    async def __call__(self, event):
        with waiting_for(self.what, asyncio.get_running_loop().time):
            return await super().__call__(event)


async def begun(handler, count):
    while handler.begun < count:  # noqa: ASYNC110  virtual time
        await asyncio.sleep(0.05)


@pytest.mark.looptime
@pytest.mark.parametrize("concurrency", [1, 4, 64])
async def test_a_signal_while_every_permit_is_in_use_does_not_stop_the_loop(
    concurrency, sqs, queue, start_daemon
):
    """The pollers wait for permits then, and closed permits come at once, again and again."""
    handler = Holds()
    send(sqs, queue, concurrency + 20)

    async with start_daemon(handler, SQS_CONCURRENCY=concurrency) as (_intake, signals, running):
        await begun(handler, concurrency)
        signals.came()
        await asyncio.sleep(1)
        handler.go.set()
        code, _seconds = await within(10, running)

    assert (code, handler.begun) == (0, concurrency)
    assert sqs.depth(queue) == (20, 0, 0)


@pytest.mark.looptime
@pytest.mark.parametrize("what", ["budget", "token"])
async def test_what_only_waits_for_budget_or_token_is_released_at_once(
    what, sqs, queue, start_daemon
):
    handler = Waits(what)
    send(sqs, queue, 10)

    async with start_daemon(handler) as (_, signals, running):
        await begun(handler, 10)
        signals.came()
        code, seconds = await within(10, running)

    assert code == 0
    assert seconds < 3
    assert sqs.depth(queue) == (10, 0, 0)


@pytest.mark.looptime
async def test_what_begins_to_wait_during_the_drain_is_released_too(sqs, queue, start_daemon):
    class ThenWaits(Holds):
        async def __call__(self, event):
            await super().__call__(event)
            with waiting_for("budget", asyncio.get_running_loop().time):
                await asyncio.Event().wait()

    handler = ThenWaits()
    send(sqs, queue, 3)

    async with start_daemon(handler) as (_, signals, running):
        await begun(handler, 3)
        signals.came()
        await asyncio.sleep(5)
        handler.go.set()
        code, _seconds = await within(5, running)

    assert (code, sqs.depth(queue)) == (0, (3, 0, 0))


@pytest.mark.looptime
async def test_a_drain_ends_though_the_sum_of_two_times_is_no_time_of_the_clock(
    sqs, queue, start_intake, monkeypatch
):
    """1.012 + 3 lies 9e-16 beyond the tick at 4.012: that much would be left for ever."""
    handler = Holds()
    send(sqs, queue, 1)

    async with start_intake(handler) as intake:
        await begun(handler, 1)
        await asyncio.sleep(1.012 - asyncio.get_running_loop().time())
        stop, passes = intake.consumer.stop, iter(range(100))
        monkeypatch.setattr(intake.consumer, "stop", lambda: (next(passes), stop()))
        report = await intake.drain(3)

    assert (report.finished, report.released, report.stranded) == (0, 1, 0)


@pytest.mark.looptime
async def test_what_waits_for_a_permit_is_released_at_once(sqs, queue, start_daemon):
    handler = Holds()
    send(sqs, queue, 5)

    async with start_daemon(handler, SQS_CONCURRENCY=2) as (intake, signals, running):
        await begun(handler, 2)
        # As a message that comes back from a gate: it has no permit any more.
        [message, *_] = await intake.consumer.poller.receive(1)
        intake.consumer._start([message], permits=0)
        await asyncio.sleep(1)
        assert [lease.phase for lease in intake.leases].count("permit") == 1
        signals.came()
        await asyncio.sleep(1)
        assert sqs.depth(queue).visible == 3
        handler.go.set()
        code, _ = await within(10, running)

    assert code == 0


@pytest.mark.looptime
async def test_what_waits_at_a_closed_gate_is_released_at_once(sqs, queue, start_daemon):
    handler = Holds()
    send(sqs, queue, 4)

    async with start_daemon(handler) as (intake, signals, running):
        await begun(handler, 4)
        job = intake.parts.delivery.jobs["voice"]
        job._problem_pause, job._probe_at = 3600, asyncio.get_running_loop().time() + 3600
        job.problem = a_problem()
        await asyncio.sleep(CHECK_SECONDS)  # the ticker sees it
        send(sqs, queue, 1)  # the poll that is under way brings it
        await asyncio.sleep(0.7)
        assert intake.consumer.gate.waiting == 1
        signals.came()
        await asyncio.sleep(1)
        assert sqs.depth(queue).visible == 1
        handler.go.set()
        code, _ = await within(10, running)

    assert code == 0


@pytest.mark.looptime
async def test_what_waits_behind_the_head_of_its_group_is_released_at_once(
    sqs, dead_letters, start_daemon
):
    queue = sqs.create_queue("events.fifo", FifoQueue="true", VisibilityTimeout="10")
    dead_letters = sqs.create_queue("dead.fifo", FifoQueue="true")
    handler = Holds()
    send(sqs, queue, 6, group="g")
    urls = {"SQS_QUEUE_URL": queue, "SQS_DEAD_LETTER_QUEUE_URL": dead_letters}

    async with start_daemon(handler, **urls) as (_intake, signals, running):
        await begun(handler, 1)
        signals.came()
        await asyncio.sleep(1)
        assert sqs.depth(queue).visible == 5
        handler.go.set()
        code, _ = await within(10, running)

    assert (code, handler.begun, sqs.depth(queue)) == (0, 1, (5, 0, 0))


@pytest.mark.looptime
async def test_a_message_that_was_received_in_the_very_turn_of_the_stop_is_released(
    sqs, queue, start_intake, recorder
):
    """Its task has not taken a step: a cancellation then ends it before it can settle anything."""
    handler = recorder()
    async with start_intake(handler) as intake:
        send(sqs, queue, 5)
        consumer = intake.consumer
        receive = consumer.poller.receive

        async def receive_nothing(*_, **__):
            await consumer.poller._stopped.wait()
            return []

        # Before the pollers of the intake begin: they would take the messages.
        consumer.poller.receive = receive_nothing
        messages = await receive(5)
        permits = await intake.permits.acquire_some(consumer.name, 5)
        assert consumer._start(messages, permits) == 5
        report = await intake.drain(5)
        free = intake.permits.free

    assert handler.seen == []
    assert (report.finished, report.released, report.stranded) == (0, 5, 0)
    assert free == intake.permits.count
    assert sqs.depth(queue) == (5, 0, 0)


@pytest.mark.looptime
async def test_a_cancelled_message_is_cancelled_once(sqs, queue, start_intake, recorder):
    """Each check of what only waits would cut short what the first cancellation cleans up."""
    cancellations = []

    async def work():
        try:
            with waiting_for("budget", asyncio.get_running_loop().time):
                await asyncio.Event().wait()
        finally:
            for _ in range(10):
                try:
                    with waiting_for("budget", asyncio.get_running_loop().time):
                        await asyncio.sleep(0.3)
                except asyncio.CancelledError:
                    cancellations.append("again")

    send(sqs, queue, 1)
    async with start_intake(recorder(work)) as intake:
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 1, 10)
        await asyncio.sleep(1)
        await intake.drain(5)

    assert cancellations == []


@pytest.mark.looptime
async def test_the_numbers_of_a_drain_add_up_though_deletes_hang(
    sqs, queue, start_daemon, monkeypatch
):
    reports = []
    monkeypatch.setattr("worker.app.daemon._log_exit", lambda report, code: reports.append(report))
    sqs.faults.add("DeleteMessageBatch", Slow(3600))
    handler = Holds()
    send(sqs, queue, 10)

    async with start_daemon(handler, drain_seconds=2) as (_intake, signals, running):
        await begun(handler, 10)
        signals.came()
        await asyncio.sleep(0.5)
        handler.go.set()
        code, seconds = await within(30, running)
        sqs.faults.clear()

    [report] = reports
    assert code == 1
    assert seconds < 2 + 10
    assert (report.finished, report.released, report.stranded) == (0, 0, 10)


@pytest.mark.looptime
async def test_a_drain_distinguishes_finished_released_and_stranded(
    sqs, queue, start_daemon, monkeypatch
):
    reports = []
    monkeypatch.setattr("worker.app.daemon._log_exit", lambda report, code: reports.append(report))

    class Mixed(Holds):
        async def __call__(self, event):
            number, self.begun = self.begun, self.begun + 1
            if number < 3:
                await self.go.wait()
            elif number < 6:
                await asyncio.Event().wait()
            else:
                with waiting_for("budget", asyncio.get_running_loop().time):
                    await asyncio.Event().wait()
            return Result.OK

    handler = Mixed()
    send(sqs, queue, 8)
    async with start_daemon(handler, drain_seconds=3) as (_, signals, running):
        await begun(handler, 8)
        signals.came()
        await asyncio.sleep(1)
        handler.go.set()
        code, _ = await within(30, running)

    [report] = reports
    assert (report.finished, report.released, report.stranded) == (3, 5, 0)
    assert (code, sqs.depth(queue)) == (0, (5, 0, 0))


@pytest.mark.looptime
@pytest.mark.parametrize("moment", ["running", "drain over, deletes hang", "poll hangs"])
async def test_a_second_signal_ends_the_process_within_two_seconds(
    moment, sqs, queue, start_daemon, exits
):
    handler = Holds()
    send(sqs, queue, 5)
    if moment == "drain over, deletes hang":
        sqs.faults.add("DeleteMessageBatch", Slow(3600))
    async with start_daemon(handler, drain_seconds=2) as (_, signals, running):
        await begun(handler, 5)
        if moment == "poll hangs":
            sqs.faults.add("ReceiveMessage", Slow(3600))
            await asyncio.sleep(2)
        signals.came()
        if moment == "drain over, deletes hang":
            handler.go.set()
            await asyncio.sleep(4)
        signals.came()
        began = asyncio.get_running_loop().time()
        with pytest.raises(Ended):
            await running
        assert asyncio.get_running_loop().time() - began <= 2
        sqs.faults.clear()

    assert exits == [1]
    if moment != "drain over, deletes hang":
        assert sqs.depth(queue).visible == 5


@pytest.mark.looptime
async def test_a_handler_that_ignores_its_cancellation_does_not_keep_the_process(
    sqs, queue, start_daemon, exits
):
    stubborn = asyncio.Event()

    async def never_ends(_event):
        while not stubborn.is_set():
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                continue
        return Result.OK

    send(sqs, queue, 1)
    async with start_daemon(never_ends, drain_seconds=2) as (_intake, signals, running):
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 1, 10)
        await asyncio.sleep(1)
        signals.came()
        with pytest.raises(Ended):
            await asyncio.wait_for(running, 20)
        stubborn.set()

    assert exits == [1]


@pytest.mark.looptime
async def test_a_heartbeat_goes_on_for_as_long_as_a_message_is_held(sqs, queue, start_daemon):
    handler = Holds()
    send(sqs, queue, 2)  # of a queue that hides for three seconds

    async with start_daemon(handler, drain_seconds=30) as (_, signals, running):
        await begun(handler, 2)
        signals.came()
        await asyncio.sleep(20)
        assert sqs.depth(queue) == (0, 2, 0)
        handler.go.set()
        code, _ = await within(20, running)

    assert (code, sqs.depth(queue)) == (0, (0, 0, 0))
    assert set(sqs.journal.receives.values()) == {1}


@pytest.mark.looptime
async def test_a_consumer_that_fails_drains_the_others_and_exits_1(sqs, queue, start_daemon):
    handler = Holds()
    send(sqs, queue, 2)

    async with start_daemon(handler) as (intake, _, running):
        await begun(handler, 2)
        handler.go.set()

        async def broken(*_args, **_kwargs):
            raise RuntimeError("a fault of ours")

        intake.consumer._receive_with = broken
        code, _ = await within(60, running)

    assert code == 1
    assert sum(sqs.depth(queue)) == 0
