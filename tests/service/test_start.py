"""The start of a whole worker: what it waits for, what ends it, and how it says so."""

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.service.conftest import sample
from worker.demo.process import WorkerProcess
from worker.emulators.sqs.control import ACCESS_DENIED, Refuse, Slow

UNAVAILABLE = Refuse("ServiceUnavailable", 503)
OUTLASTS = 4
"""Attempts that fail before SQS is back: the pauses between them grow."""

IN_TIME = 20
"""Seconds: a quarter on a machine with nothing else to do. Without the signal it takes an hour."""


@pytest.fixture
def begin(emulators, tmp_path):
    """Return a context manager that starts a worker and waits for its ops server only."""

    @asynccontextmanager
    async def begin(**overrides):
        environment = emulators.variables() | {name: str(v) for name, v in overrides.items()}
        worker = WorkerProcess(environment, tmp_path / "worker.log")
        await worker.start(until_ready=False)
        try:
            yield worker
        finally:
            await worker._end()

    return begin


async def line(worker, event, count=1):
    """Wait until the log has so many lines of the event, and return the last of them."""
    async with asyncio.timeout(60):
        while len(found := [one for one in worker.lines() if one["event"] == event]) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found[-1]


async def listening(worker):
    worker.url = (await line(worker, "ops_server_listening"))["url"]


async def ask(worker, path):
    async with aiohttp.ClientSession() as http, http.get(f"{worker.url}{path}") as reply:
        return reply.status, await reply.text()


async def test_a_worker_waits_for_sqs_and_says_so_and_then_works(
    emulators, begin, settled, records
):
    emulators.sqs.faults.add("GetQueueAttributes", UNAVAILABLE)
    emulators.sqs.send(emulators.queue_url, sample("events/reference/voice_analytics.json"))

    async with begin() as worker:
        await listening(worker)
        last = await line(worker, "queue_not_answering", OUTLASTS)
        assert (await ask(worker, "/livez"))[0] == 200
        status, text = await ask(worker, "/readyz")
        assert (status, "waiting for SQS to answer for genesys-events" in text) == (503, True)
        _, document = await ask(worker, "/status")
        assert json.loads(document)["why"].startswith("Starting: waiting for SQS")
        emulators.sqs.faults.clear()
        await settled()

    assert last["code"] == "ServiceUnavailable"
    assert len(await records()) == 1


async def test_the_start_names_jobs_queues_region_and_organisation(emulators, begin):
    organization = "0a900000-0000-4000-8000-000000000001"

    async with begin(
        HANDLERS="voice",
        AWS_REGION="",
        AWS_DEFAULT_REGION="eu-west-1",
        GENESYS_ORGANIZATION_ID=organization,
    ) as worker:
        started = await line(worker, "worker_started")

    assert started["jobs"] == ["voice"]
    assert started["queues"] == ["genesys-events"]
    assert started["region"] == "eu-west-1"
    assert started["organization_id"] == organization


async def test_permissions_that_have_not_arrived_are_waited_for(emulators, begin, settled):
    emulators.sqs.faults.add("GetQueueAttributes", ACCESS_DENIED)
    emulators.sqs.send(emulators.queue_url, sample("events/reference/voice_analytics.json"))

    async with begin() as worker:
        last = await line(worker, "queue_not_answering", 2)
        emulators.sqs.faults.clear()
        await settled()

    assert (last["level"], last["action"]) == ("error", "sqs:GetQueueAttributes")


async def test_a_queue_that_does_not_exist_ends_the_start_with_its_name(emulators, begin):
    async with begin(SQS_QUEUE_URL=f"{emulators.sqs.endpoint_url}/000000000000/no-such") as worker:
        assert await worker.wait(60) == 2

        assert "SQS_QUEUE_URL: queue no-such does not exist" in worker.log.read_text()
        assert "Traceback" not in worker.log.read_text()


async def test_one_queue_of_several_that_does_not_exist_ends_the_start_at_once(emulators, begin):
    urls = f"voice={emulators.queue_url},workflow={emulators.sqs.endpoint_url}/000000000000/no-such"
    emulators.sqs.faults.add("GetQueueAttributes", UNAVAILABLE)
    emulators.sqs.faults.clear()

    async with begin(SQS_QUEUE_URL=urls, HANDLERS="voice,workflow") as worker:
        assert await worker.wait(60) == 2
        assert "queue no-such does not exist" in worker.log.read_text()


async def test_sqs_that_stays_unreachable_ends_the_start_after_its_time(emulators, begin):
    emulators.sqs.faults.add("GetQueueAttributes", UNAVAILABLE)

    async with begin(SQS_START_SECONDS=2) as worker:
        assert await worker.wait(60) == 3
        last = await line(worker, "queue_unreachable")

    assert last["reason"] == "queue genesys-events: sqs:GetQueueAttributes: ServiceUnavailable"
    assert last["level"] == "error"


@pytest.mark.parametrize("fault", [UNAVAILABLE, Slow(3600)], ids=["503", "half-open"])
async def test_a_signal_during_the_start_ends_it_in_time(fault, emulators, begin):
    emulators.sqs.faults.add("GetQueueAttributes", fault)
    loop = asyncio.get_running_loop()

    async with begin() as worker:
        await listening(worker)
        began = loop.time()
        worker.signal(signal.SIGTERM)
        assert await worker.wait(60) == 0
        assert loop.time() - began < IN_TIME
        assert (await line(worker, "worker_stopped"))["stranded"] == 0
    emulators.sqs.faults.clear()


async def test_two_signals_during_the_start_end_it_within_five_seconds(emulators, begin):
    emulators.sqs.faults.add("*", Slow(3600))
    loop = asyncio.get_running_loop()

    async with begin() as worker:
        await listening(worker)
        began = loop.time()
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGTERM)
        await worker.wait(60)
        assert loop.time() - began < IN_TIME
    emulators.sqs.faults.clear()
