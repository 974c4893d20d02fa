"""/status of a whole worker: is its sentence true of the queue?"""

import json
import socket
from datetime import UTC, datetime

import pytest

from tests.service.conftest import sample
from tests.support.aws import sdk_client
from tests.support.factories import a_reference_body, an_attributes_wanted, an_origin
from worker.emulators.sqs.control import ACCESS_DENIED

ASKED_BY_CRM = 'worker_asked_pause_seconds{dependency="crm"}'


def metric(page, series):
    """Return the value of one series of a page of metrics."""
    return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(series))


async def test_messages_that_wait_hidden_for_their_retry_are_distinguished_from_an_empty_queue(
    emulators, start_worker, eventually, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulators.sqs.endpoint_url)
    emulators.sqs.send(emulators.queue_url, sample("events/platform/sta_sentiment.json"))
    async with sdk_client("sqs") as sqs:
        await sqs.receive_message(QueueUrl=emulators.queue_url, VisibilityTimeout=600)

    async with start_worker() as worker:

        async def says_so():
            why = json.loads(await worker.page("/status"))["why"]
            return why.startswith(
                "Waiting: 0 in flight, 1 invisible (scheduled retries or other consumers)"
            )

        await eventually(says_so)


async def test_a_pause_that_the_crm_asked_for_is_reported_with_the_seconds_left_up_to_the_cap(
    emulators, start_worker, eventually
):
    emulators.crm.status, emulators.crm.retry_after = 429, "3000"

    async with start_worker(HANDLERS="attributes") as worker:
        event = an_attributes_wanted(origin=an_origin(occurred_at=datetime.now(UTC)))
        emulators.sqs.send(emulators.queue_url, a_reference_body(event).decode())

        async def says_so():
            status = json.loads(await worker.page("/status"))
            pauses = {one["name"]: one["pause_seconds"] for one in status["upstreams"]}
            return (
                800 < pauses.get("crm", 0) <= 900
                and 800 < metric(await worker.page("/metrics"), ASKED_BY_CRM) <= 900
                and "crm asked for a pause of 3000 s" in status["why"]
                and any("crm asked for 3000 s" in one for one in status["not_ready_because"])
            )

        await eventually(says_so)


async def test_receives_that_all_fail_are_named_with_their_error(
    emulators, start_worker, eventually
):
    emulators.sqs.faults.add("ReceiveMessage", ACCESS_DENIED)

    async with start_worker(until_ready=False) as worker:

        async def says_so():
            status = json.loads(await worker.page("/status"))
            return (status["why"], status["not_ready_because"]) == (
                "Not moving: ReceiveMessage fails with AccessDenied.",
                ["queue: genesys-events: ReceiveMessage fails: AccessDenied"],
            )

        await eventually(says_so)


async def test_what_check_knows_of_the_queues_is_warned_of_once_at_the_start(
    emulators, start_worker, tmp_path, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulators.sqs.endpoint_url)
    elsewhere = emulators.sqs.arn(emulators.sqs.create_queue("elsewhere"))
    policy = {"deadLetterTargetArn": elsewhere, "maxReceiveCount": 3}
    changed = {"RedrivePolicy": json.dumps(policy), "MessageRetentionPeriod": "3600"}
    async with sdk_client("sqs") as sqs:
        await sqs.set_queue_attributes(QueueUrl=emulators.queue_url, Attributes=changed)

    async with start_worker() as worker:
        warnings = json.loads(await worker.page("/status"))["warnings"]

    lines = map(json.loads, (tmp_path / "worker.log").read_text().splitlines())
    logged = [line["finding"] for line in lines if line["event"] == "start_warning"]
    queue, not_there = "queue genesys-events: ", "which is not in SQS_DEAD_LETTER_QUEUE_URL"
    assert logged == warnings
    assert [one.rpartition(" ")[2] for one in warnings] == ["(SQS03)", "(SQS04)", "(DLQ03)"]
    assert [one.split("; ")[0] for one in warnings] == [
        f"{queue}retention: 1.0 h, but retries go on for 6.0 h",
        f"{queue}maxReceiveCount: 3: an outage would dead-letter healthy messages",
        f"{queue}redrive policy: SQS moves messages to elsewhere, {not_there}",
    ]


async def test_a_dead_letter_queue_that_cannot_be_read_is_warned_of(emulators, start_worker):
    missing = emulators.dead_letter_url + "-misspelt"

    async with start_worker(SQS_DEAD_LETTER_QUEUE_URL=missing) as worker:
        [warning] = json.loads(await worker.page("/status"))["warnings"]

    assert "dead-letter queue: cannot be read: " in warning
    assert "NonExistentQueue" in warning


async def test_what_check_knows_of_the_settings_is_warned_of_before_sqs_answers(
    emulators, start_worker, eventually, closed_port
):
    environ = {
        "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{closed_port}",
        "SQS_CONCURENCY": "7",
        "REPORT_BUCKET": "",
        "REPORTS_BUCKET": "figures",
        "WORKFLOW_SETTLE_SECONDS": "99999",
    }

    async with start_worker(until_ready=False, **environ) as worker:
        found = []

        async def says_so():
            found[:] = json.loads(await worker.page("/status"))["warnings"]
            return bool(found)

        await eventually(says_so)

    assert [one.rpartition(" ")[2] for one in found] == ["(SET02)", "(SET05)", "(SET04)", "(SET04)"]
    half, wait, *unknown = found
    assert half.startswith("half-configured job: job reports is off: REPORT_BUCKET is not set; ")
    assert wait.startswith("longest wait: WORKFLOW_SETTLE_SECONDS is 99999 s, but retries end ")
    assert any(
        "SQS_CONCURENCY" in one and "did you mean SQS_CONCURRENCY?" in one for one in unknown
    )


@pytest.fixture
def closed_port():
    """A port of loopback that refuses every caller."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listened on
        yield taken.getsockname()[1]


async def test_well_made_queues_are_not_warned_of(emulators, start_worker):
    async with start_worker() as worker:
        assert json.loads(await worker.page("/status"))["warnings"] == []


async def test_a_job_that_waits_for_a_person_is_distinguished_from_one_that_waits_for_an_upstream(
    emulators, start_worker, eventually
):
    wrong = {"GENESYS_CLIENT_SECRET": "wrong-canary-secret"}

    async with start_worker(until_ready=False, **wrong) as worker:

        async def says_so():
            page = await worker.page("/metrics")
            return 'worker_job_state{handler="workflow"} 3.0' in page

        await eventually(says_so)
        assert metric(await worker.page("/metrics"), ASKED_BY_CRM) == 0
