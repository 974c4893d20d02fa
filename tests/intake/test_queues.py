"""Several queues in one process: each event is done by the job of its queue, and by no other."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.intake.doubles import FakeUpstreams
from tests.support.factories import (
    a_chat_scored,
    a_conversation_ended,
    a_leg_body,
    a_platform_body,
    a_reference_body,
    a_voice_scored,
)
from worker.app.context import new_context
from worker.app.intake import build_intake
from worker.app.jobs import load_settings
from worker.emulators.sqs.control import ACCESS_DENIED, When
from worker.events.origin import Result
from worker.intake.router import Route
from worker.telemetry import metrics

VOICE = {"GENESYS_ACTION_ID": "action", "DYNAMODB_TABLE": "table"}
WORKFLOW = {"STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m"}
SENTIMENT = {"CRM_WEBHOOK_URL": "https://crm.example/hook"}


class Job:
    """A job that notes what it did."""

    def __init__(self):
        self.done = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, event):
        await self.go.wait()
        self.done.append(event.conversation_id)
        return Result.OK


class Running:
    def __init__(self, parts, jobs):
        self.parts = parts
        self.jobs = jobs

    def consumer(self, name):
        return next(one for one in self.parts.consumers if one.name == name)


@pytest.fixture
def start(sqs, dead_letters):
    """Return a context manager: an intake whose jobs are those that the settings turn on."""

    @asynccontextmanager
    async def start(urls, *groups, needs=None, **overrides):
        settings = load_settings(
            {
                "SQS_QUEUE_URL": urls,
                "SQS_DEAD_LETTER_QUEUE_URL": dead_letters,
                "SQS_WAIT_SECONDS": "1",
                "SQS_DRAIN_SECONDS": "5",
                "GENESYS_CLIENT_ID": "id",
                "GENESYS_CLIENT_SECRET": "secret",
            }
            | {name: value for group in groups for name, value in group.items()}
            | {name: str(value) for name, value in overrides.items()}
        )
        on = list(settings.enabled_jobs())
        jobs = {job: Job() for job in on}
        async with AsyncExitStack() as stack:
            routes = {
                job: Route(job=job, run=run, needs=frozenset((needs or {}).get(job, ())))
                for job, run in jobs.items()
            }
            parts = await build_intake(new_context(settings, stack), routes)
            tasks = [asyncio.create_task(one.run()) for one in parts.consumers]
            beats = [asyncio.create_task(one.leases.run()) for one in parts.consumers]
            try:
                yield Running(parts, jobs)
            finally:
                for one in parts.consumers:
                    one.stop()
                parts.permits.close()
                for one in parts.consumers:
                    await one.drain(3)
                    await one.settlement.acks.close()
                for task in beats:
                    task.cancel()
                await asyncio.wait([*tasks, *beats])

    return start


@pytest.fixture
def two(sqs):
    """Two queues, by job, and the text that binds them."""
    urls = {job: sqs.create_queue(job, VisibilityTimeout="30") for job in ("voice", "workflow")}
    return urls, ",".join(f"{job}={url}" for job, url in urls.items())


def records(sqs, dead_letters):
    found = [message.sent.attributes["worker.failure"] for message in sqs.messages(dead_letters)]
    return [json.loads(one.value) for one in found]


def empty(sqs, *urls):
    return lambda: not any(sum(sqs.depth(url)) for url in urls)


def send(sqs, url, *events, body=a_reference_body):
    for event in events:
        sqs.send(url, body(event).decode())
    return [event.conversation_id for event in events]


@pytest.mark.looptime
async def test_an_event_on_each_of_two_queues_is_done_by_its_job_only(sqs, two, start):
    urls, binding = two
    voices = send(sqs, urls["voice"], *(a_voice_scored() for _ in range(12)))
    ends = send(sqs, urls["workflow"], *(a_conversation_ended() for _ in range(12)))

    async with start(binding, VOICE, WORKFLOW) as running:
        await sqs.wait_until(empty(sqs, *urls.values()), 60)

    assert sorted(running.jobs["voice"].done) == sorted(voices)
    assert sorted(running.jobs["workflow"].done) == sorted(ends)


@pytest.mark.looptime
async def test_an_event_that_interests_two_jobs_is_done_once_by_each_from_its_own_queue(sqs, start):
    urls = {job: sqs.create_queue(job) for job in ("workflow", "sentiment")}
    binding = ",".join(f"{job}={url}" for job, url in urls.items())
    body = a_platform_body(a_chat_scored(), id="one").decode()
    for url in urls.values():
        sqs.send(url, body)

    async with start(binding, WORKFLOW, SENTIMENT) as running:
        await sqs.wait_until(empty(sqs, *urls.values()), 60)

    assert [len(job.done) for job in running.jobs.values()] == [1, 1]


@pytest.mark.looptime
async def test_a_type_of_another_job_on_a_bound_queue_is_dead_lettered_with_the_reason(
    sqs, two, dead_letters, start
):
    """The bindings were swapped."""
    urls, binding = two
    send(sqs, urls["voice"], a_conversation_ended())
    send(sqs, urls["workflow"], a_voice_scored())

    async with start(binding, VOICE, WORKFLOW) as running:
        await sqs.wait_until(empty(sqs, *urls.values()), 60)

    assert not any(job.done for job in running.jobs.values())
    assert sorted(record["reason"] for record in records(sqs, dead_letters)) == [
        "detail-type conversation.end is of job workflow; queue voice is bound to voice",
        "detail-type voice.analytics is of job voice; queue workflow is bound to workflow",
    ]
    assert {record["queue"] for record in records(sqs, dead_letters)} == set(urls.values())


@pytest.mark.looptime
async def test_the_type_of_a_job_that_is_off_is_dead_lettered_from_a_bound_queue(
    sqs, two, dead_letters, start
):
    urls, _ = two
    send(sqs, urls["voice"], a_conversation_ended())

    async with start(f"voice={urls['voice']}", VOICE):
        await sqs.wait_until(empty(sqs, urls["voice"]), 60)

    [record] = records(sqs, dead_letters)
    assert record["errorClass"] == "WrongQueue"


@pytest.mark.looptime
async def test_a_bound_type_whose_content_is_not_wanted_is_skipped(sqs, dead_letters, start):
    chats = sqs.create_queue("chats")
    body = a_leg_body("v2.detail.events.conversation.{id}.customer.end", mediaType="VOICE")
    sqs.send(chats, body.decode())
    before = metrics.messages_unrouted._value.get()

    async with start(f"sentiment={chats}", SENTIMENT) as running:
        await sqs.wait_until(empty(sqs, chats), 60)

    assert running.jobs["sentiment"].done == []
    assert sqs.messages(dead_letters) == ()
    assert metrics.messages_unrouted._value.get() == before


@pytest.mark.looptime
async def test_a_type_of_no_job_is_unrouted_on_a_bound_queue_too(sqs, two, dead_letters, start):
    urls, binding = two
    sqs.send(urls["voice"], '{"detail-type": "v2.unknown", "detail": {}}')
    before = metrics.messages_unrouted._value.get()

    async with start(binding, VOICE, WORKFLOW):
        await sqs.wait_until(empty(sqs, urls["voice"]), 60)

    assert metrics.messages_unrouted._value.get() - before == 1
    assert sqs.messages(dead_letters) == ()


@pytest.mark.looptime
async def test_the_events_of_a_job_that_is_set_up_by_half_are_dead_lettered_with_what_it_lacks(
    sqs, queue, dead_letters, start
):
    send(sqs, queue, a_voice_scored(), a_conversation_ended())

    async with start(queue, WORKFLOW, DYNAMODB_TABLE="table", GENESYS_ACTIONID="x") as running:
        await sqs.wait_until(empty(sqs, queue), 60)

    assert len(running.jobs["workflow"].done) == 1
    [record] = records(sqs, dead_letters)
    assert record["reason"] == (
        "job voice is off: GENESYS_ACTION_ID is not set; did you mean GENESYS_ACTIONID?"
    )


@pytest.mark.looptime
async def test_an_event_that_another_job_has_done_is_dead_lettered_for_the_half_configured_one(
    sqs, queue, dead_letters, start
):
    send(sqs, queue, a_chat_scored(), body=a_platform_body)

    async with start(queue, WORKFLOW, CRM_WEBHOOKURL="https://crm.example") as running:
        await sqs.wait_until(empty(sqs, queue), 60)

    assert len(running.jobs["workflow"].done) == 1
    [record] = records(sqs, dead_letters)
    assert record["reason"].startswith("job sentiment is off: CRM_WEBHOOK_URL is not set")


@pytest.mark.looptime
async def test_the_events_of_a_job_that_is_not_used_here_are_unrouted(
    sqs, queue, dead_letters, start
):
    send(sqs, queue, a_voice_scored())
    before = metrics.messages_unrouted._value.get()

    async with start(queue, WORKFLOW):
        await sqs.wait_until(empty(sqs, queue), 60)

    assert metrics.messages_unrouted._value.get() - before == 1
    assert sqs.messages(dead_letters) == ()


@pytest.mark.looptime
async def test_a_job_whose_upstream_is_down_holds_up_no_other_queue(sqs, two, start):
    urls, binding = two
    needs = {"voice": ("up",)}
    async with start(binding, VOICE, WORKFLOW, needs=needs, SQS_CONCURRENCY=8) as running:
        running.parts.delivery.jobs["voice"]._upstreams = FakeUpstreams(up="open")
        await asyncio.sleep(3)
        send(sqs, urls["voice"], *(a_voice_scored() for _ in range(200)))
        ends = send(sqs, urls["workflow"], *(a_conversation_ended() for _ in range(200)))
        await sqs.wait_until(empty(sqs, urls["workflow"]), 30)

        assert sorted(running.jobs["workflow"].done) == sorted(ends)
        assert sqs.depth(urls["voice"]).visible == 200


@pytest.mark.looptime
async def test_a_job_that_hangs_costs_no_other_queue_its_permits(sqs, two, start):
    urls, binding = two
    send(sqs, urls["voice"], *(a_voice_scored() for _ in range(200)))

    async with start(binding, VOICE, WORKFLOW, SQS_CONCURRENCY=8) as running:
        running.jobs["voice"].go.clear()
        await asyncio.sleep(5)
        ends = send(sqs, urls["workflow"], *(a_conversation_ended() for _ in range(100)))
        await sqs.wait_until(empty(sqs, urls["workflow"]), 60)

        assert sorted(running.jobs["workflow"].done) == sorted(ends)
        running.jobs["voice"].go.set()
        await sqs.wait_until(empty(sqs, urls["voice"]), 60)
    assert running.parts.permits.free == running.parts.permits.count


@pytest.mark.looptime
async def test_receives_that_are_denied_on_one_queue_do_not_stop_the_other(sqs, two, start):
    urls, binding = two
    sqs.faults.add("ReceiveMessage", ACCESS_DENIED, When(queue="voice"))

    async with start(binding, VOICE, WORKFLOW) as running:
        ends = send(sqs, urls["workflow"], *(a_conversation_ended() for _ in range(30)))
        await sqs.wait_until(empty(sqs, urls["workflow"]), 60)

        assert running.consumer("voice").poller.problem == "AccessDenied"
        assert running.consumer("workflow").poller.problem is None
        sqs.faults.clear()
    assert sorted(running.jobs["workflow"].done) == sorted(ends)


@pytest.mark.looptime
async def test_an_idle_queue_leaves_its_permits_to_a_busy_one(sqs, two, start):
    urls, binding = two

    async with start(binding, VOICE, WORKFLOW, SQS_CONCURRENCY=40) as running:
        running.jobs["voice"].go.clear()
        await asyncio.sleep(10)
        send(sqs, urls["voice"], *(a_voice_scored() for _ in range(100)))
        await asyncio.sleep(30)
        busy = len(running.parts.delivery.running)
        running.jobs["voice"].go.set()
        await sqs.wait_until(empty(sqs, urls["voice"]), 60)

    assert busy >= 40 - 10 - 1  # all but what is reserved, and what the idle one polls on
