"""No personal data and no secret leaves the process, whatever fails: every output is searched."""

import json
from random import Random

import pytest

from tests.service.conftest import sample
from worker.demo.environment import WEBHOOK_SECRET
from worker.jobs.attributes.demo import AttributesJob
from worker.jobs.reports.demo import ReportJob
from worker.jobs.workflow.demo import EndedJob

PHONE = "5559876543"
TIER = "canary-tier-platinum"
SECRET = "canary-secret-4711"
WORDS = "canary words of a customer"
CRM_TOKEN = "canary-crm-token-4712"
SIGNATURE = "X-Amz-Signature"
"""Of presigned links, which open a report to anyone who has them."""


def with_phone(body):
    event = json.loads(body)
    event["detail"]["phoneNumber"] = f"+1{PHONE}"
    return event


async def test_no_output_holds_a_number_an_attribute_or_a_secret(
    emulators, start_worker, settled, eventually
):
    emulators.genesys.client_secret = SECRET
    emulators.genesys.customers[f"+1{PHONE}"] = {"tier": TIER, "ltv": "not a number"}
    good = with_phone(sample("events/reference/voice_analytics.json"))
    bad = with_phone(sample("events/reference/voice_analytics.json"))
    bad["detail"]["conversationId"] = f"tel:+1{PHONE}"

    async with start_worker(LOG_LEVEL="debug") as worker:
        emulators.genesys.fail_with("data_action", 503, 2)
        emulators.sqs.send(emulators.queue_url, json.dumps(good))
        emulators.sqs.send(emulators.queue_url, json.dumps(bad))
        await settled()
        pages = [await worker.page(path) for path in ("/metrics", "/status", "/readyz", "/livez")]
        outputs = "\n".join([worker.log.read_text(), *pages])

    notes = _notes(emulators)
    assert len(notes) == 2
    for canary in (PHONE, TIER, SECRET, "demo-secret"):
        assert canary not in outputs
        assert canary not in "\n".join(notes)
    assert "event_failed" in outputs


def _dead_lettered(emulators):
    return emulators.sqs.messages(emulators.dead_letter_url)


@pytest.fixture
def jobs(emulators):
    """The four jobs beside voice, with canaries in all they ask for."""
    random = Random(1)
    attributes, ended, report = AttributesJob(2, random), EndedJob(2, 3, random), ReportJob(random)
    for job in (attributes, ended, report):
        job.prepare(emulators)
    genesys = emulators.genesys
    for conversation in genesys.conversations.values():
        conversation["participants"][0] |= {"name": WORDS, "address": f"tel:+1{PHONE}"}
    for spoken in genesys.speech.conversations.values():
        for transcript in spoken.transcripts.values():
            for phrase in transcript["transcripts"][0]["phrases"]:
                phrase["text"] = phrase["decoratedText"] = WORDS
    for known in genesys.ended.values():
        known.record["participants"][0]["participantName"] = WORDS
        known.record["participants"][0]["sessions"][0]["ani"] = f"tel:+1{PHONE}"
    emulators.crm.by_phone[f"+1{PHONE}"] = {"tier": TIER, "ltv": WORDS, "vip": WORDS, "note": WORDS}
    emulators.crm.token = CRM_TOKEN
    return attributes, ended, report


def with_canary(body):
    """Return the event with the canary for a caller, wherever one stands."""
    event = json.loads(body)
    leg = event["detail"].get("eventBody", event["detail"])
    for name in {"ani", "phoneNumber"} & set(leg):
        leg[name] = f"+1{PHONE}"
    return json.dumps(event)


def break_all(emulators, status):
    """Let everything that jobs ask or send fail; 200 fixes it."""
    for endpoint in ("attributes", "speech", "details_by_id", "details_query"):
        if status == 200:
            emulators.genesys.heal(endpoint)
        else:
            emulators.genesys.fail_with(endpoint, status)
    emulators.crm.status = status
    for sink in emulators.sinks.values():
        sink.status = status


def failed_handlers(worker):
    return {line.get("job") for line in worker.lines() if line["event"] == "event_failed"}


async def test_no_output_of_the_other_four_jobs_holds_any_either(
    emulators, start_worker, settled, eventually, jobs
):
    break_all(emulators, 503)
    messages = [with_canary(one.body) for job in jobs for one in job.traffic()]
    gone = json.loads(messages[0])
    detail = gone["detail"].get("eventBody", gone["detail"])
    detail["conversationId"] = "deadbeef-0000-4000-8000-000000000001"
    overrides = {
        "CRM_API_TOKEN": CRM_TOKEN,
        "BREAKER_ENABLED": "false",  # each job fails by itself
        "LOG_LEVEL": "debug",
    }

    async with start_worker(**overrides) as worker:
        for body in [*messages, json.dumps(gone)]:
            emulators.sqs.send(emulators.queue_url, body)

        async def all_failed():
            return failed_handlers(worker) >= {"attributes", "workflow", "sentiment", "reports"}

        await eventually(all_failed, 40)
        break_all(emulators, 200)
        await settled(60)
        pages = [await worker.page(path) for path in ("/metrics", "/status", "/readyz", "/livez")]
        outputs = "\n".join([worker.log.read_text(), *pages, *_notes(emulators)])

    assert _notes(emulators)
    for canary in (PHONE, TIER, WORDS, CRM_TOKEN, WEBHOOK_SECRET, "demo-secret", SIGNATURE):
        assert canary not in outputs


def _notes(emulators):
    return [m.sent.attributes["worker.failure"].value for m in _dead_lettered(emulators)]


async def test_a_refused_client_makes_the_worker_not_ready_and_loses_nothing(
    emulators, start_worker, settled, eventually, known_customer
):
    async with start_worker() as worker:
        emulators.genesys.reject_client = True
        emulators.genesys.revoke_tokens()
        emulators.sqs.send(emulators.queue_url, sample("events/reference/voice_analytics.json"))

        async def says_why():
            return "invalid_client" in await worker.page("/readyz")

        await eventually(says_why)
        status = json.loads(await worker.page("/status"))
        assert "invalid_client" in status["why"]

    assert sum(emulators.sqs.depth(emulators.queue_url)) == 1
    assert not _dead_lettered(emulators)
