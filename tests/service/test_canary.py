"""No personal data and no secret leaves the process, whatever fails: every output is searched."""

import json

from tests.service.conftest import sample

PHONE = "5559876543"
TIER = "canary-tier-platinum"
SECRET = "canary-secret-4711"


def with_phone(body):
    event = json.loads(body)
    event["detail"]["phoneNumber"] = f"+1{PHONE}"
    return event


async def test_no_output_holds_a_number_an_attribute_or_a_secret(
    stage, start_worker, settled, eventually
):
    stage.genesys.client_secret = SECRET
    stage.genesys.customers[f"+1{PHONE}"] = {"tier": TIER, "ltv": "not a number"}
    good = with_phone(sample("events/reference/voice_analytics.json"))
    bad = with_phone(sample("events/reference/voice_analytics.json"))
    bad["detail"]["conversationId"] = f"tel:+1{PHONE}"

    async with start_worker(LOG_LEVEL="debug") as worker:
        stage.genesys.fail_with("data_action", 503, 2)
        stage.sqs.send(stage.queue_url, json.dumps(good))
        stage.sqs.send(stage.queue_url, json.dumps(bad))
        await settled()
        pages = [await worker.page(path) for path in ("/metrics", "/status", "/readyz", "/livez")]
        outputs = "\n".join([worker.log.read_text(), *pages])

    notes = [m.sent.attributes["worker.failure"].value for m in _parked(stage)]
    assert len(notes) == 2
    for canary in (PHONE, TIER, SECRET, "demo-secret"):
        assert canary not in outputs
        assert canary not in "\n".join(notes)
    assert "event_failed" in outputs


def _parked(stage):
    return stage.sqs.messages(stage.dead_letter_url)


async def test_a_refused_client_makes_the_worker_not_ready_and_loses_nothing(
    stage, start_worker, settled, eventually, known_customer
):
    async with start_worker() as worker:
        stage.genesys.reject_client = True
        stage.genesys.revoke_tokens()
        stage.sqs.send(stage.queue_url, sample("events/reference/voice_analytics.json"))

        async def says_why():
            return "invalid_client" in await worker.page("/readyz")

        await eventually(says_why)
        status = json.loads(await worker.page("/status"))
        assert "invalid_client" in status["why"]

    assert sum(stage.sqs.depth(stage.queue_url)) == 1
    assert not _parked(stage)
