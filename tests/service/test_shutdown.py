"""What a signal, a kill and a stall do to messages in flight: real processes, real signals."""

import asyncio
import json
import signal
import sys
from uuid import UUID

import pytest

from tests.service.conftest import sample

IN_FLIGHT = 64

HANGS = """
import asyncio, time
from worker.app.daemon import Signals

async def work():
    signals = Signals()
    signals.listen()
    print("listening", flush=True)
    await signals.force.wait()
    time.sleep(60)

asyncio.run(work())
"""
"""A process whose loop hangs as it is being closed."""


def scores(count):
    """Return as many voice events, each of its own conversation and caller."""
    template = json.loads(sample("events/reference/voice_analytics.json"))
    for number in range(count):
        template["id"] = str(UUID(int=number))
        template["detail"]["conversationId"] = str(UUID(int=number, version=4))
        template["detail"]["phoneNumber"] = f"+1555010{number:04d}"
        yield json.dumps(template)


@pytest.fixture
def slow_upstream(emulators):
    emulators.genesys.latency_seconds = 2


def last_line(worker):
    return next(line for line in reversed(worker.lines()) if line["event"] == "worker_stopped")


async def test_sigterm_lets_a_full_worker_finish_and_strands_nothing(
    emulators, start_worker, slow_upstream, records
):
    async with start_worker(
        GENESYS_REQUESTS_PER_MINUTE=100_000, GENESYS_ACTION_CONCURRENCY=IN_FLIGHT
    ) as worker:
        emulators.genesys.requests_per_minute = None
        for body in scores(IN_FLIGHT):
            emulators.sqs.send(emulators.queue_url, body)
        await emulators.sqs.wait_until(
            lambda: emulators.sqs.depth(emulators.queue_url).in_flight == IN_FLIGHT, 20
        )
        worker.signal(signal.SIGTERM)
        receives = emulators.sqs.counts["ReceiveMessage"]
        assert await worker.wait(60) == 0

    assert len(await records()) == IN_FLIGHT
    assert sum(emulators.sqs.depth(emulators.queue_url)) == 0
    assert emulators.sqs.counts["ReceiveMessage"] <= receives + 1
    assert last_line(worker)["stranded"] == 0


async def test_what_outlasts_the_drain_is_made_visible_again_at_once(emulators, start_worker):
    async with start_worker(SQS_DRAIN_SECONDS=2) as worker:
        emulators.genesys.latency_seconds = 20  # not before: it is ready once it has a token
        for body in scores(5):
            emulators.sqs.send(emulators.queue_url, body)
        await emulators.sqs.wait_until(
            lambda: emulators.sqs.depth(emulators.queue_url).in_flight == 5, 60
        )
        worker.signal(signal.SIGTERM)
        assert await worker.wait(60) == 0

    assert emulators.sqs.depth(emulators.queue_url).visible == 5
    line = last_line(worker)
    assert (line["released"], line["stranded"]) == (5, 0)


async def test_a_second_signal_ends_at_once_and_releases(emulators, start_worker):
    async with start_worker() as worker:
        emulators.genesys.latency_seconds = 60
        for body in scores(5):
            emulators.sqs.send(emulators.queue_url, body)
        await emulators.sqs.wait_until(
            lambda: emulators.sqs.depth(emulators.queue_url).in_flight == 5, 60
        )
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGINT)
        assert await worker.wait(60) == 1

    assert emulators.sqs.depth(emulators.queue_url).visible == 5


async def test_after_a_kill_and_a_restart_every_effect_is_there_once(
    emulators, start_worker, records, settled, eventually
):
    emulators.genesys.latency_seconds = 0.3
    for body in scores(40):
        emulators.sqs.send(emulators.queue_url, body)

    async def some_are_done():
        return 3 <= len(await records()) < 40

    async with start_worker(SQS_VISIBILITY_SECONDS=10, SQS_CONCURRENCY=8) as worker:
        await eventually(some_are_done)
        worker.signal(signal.SIGKILL)
        assert await worker.wait(60) == -signal.SIGKILL
    async with start_worker(SQS_VISIBILITY_SECONDS=10):
        await settled()

    items = await records()
    assert len(items) == len({item["conversationId"]["S"] for item in items}) == 40


async def test_a_loop_that_hangs_after_the_second_signal_ends_within_five_seconds():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGS, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"listening\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        began = asyncio.get_running_loop().time()
        assert await asyncio.wait_for(process.wait(), 30) == 1
        assert asyncio.get_running_loop().time() - began < 15  # on a busy machine; else never
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
