"""The main job, end to end: `worker run` on loopback servers, configured by environment only."""

import json
from decimal import Decimal

import pytest

from tests.service.conftest import sample
from worker.demo.process import WorkerFailed
from worker.emulators.genesys.cloud import Spoken

STA = sample("events/platform/sta_sentiment.json")
VOICE = sample("events/reference/voice_analytics.json")
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"


def older(body, by_minutes=5):
    event = json.loads(body)
    event["id"] = "99999999-2222-4333-8444-000000000004"
    event["detail"]["timestamp"] = f"2026-03-02T10:{10 - by_minutes:02d}:00.000Z"
    return json.dumps(event)


@pytest.fixture
async def worker(start_worker, known_customer):
    async with start_worker() as worker:
        yield worker


async def test_a_platform_score_becomes_one_item_with_the_customer(
    emulators, worker, records, settled
):
    emulators.sqs.send(emulators.queue_url, STA)
    await settled()

    [item] = await records()
    assert item.pop("recordedAt")["S"].endswith("Z")
    assert item == {
        "conversationId": {"S": CONVERSATION},
        "eventTimestamp": {"S": "2026-03-02T10:19:02.300Z"},
        "detailType": {"S": "v2.speechandtextanalytics.conversation.{id}.sentiment"},
        "phoneNumber": {"S": "+15550100001"},
        "sentimentOverall": {"N": "-0.42"},
        "crmTier": {"S": "gold"},
        "crmLtv": {"N": "12500.0"},
        "enrichmentStatus": {"S": "complete"},
    }


async def test_a_reference_score_keeps_its_speakers(emulators, worker, records, settled):
    emulators.sqs.send(emulators.queue_url, VOICE)
    await settled()

    [item] = await records()
    speakers = [speaker["M"] for speaker in item["sentimentSpeakers"]["L"]]
    assert [(s["id"]["S"], Decimal(s["score"]["N"])) for s in speakers] == [
        ("agent", Decimal("0.6")),
        ("customer", Decimal("-0.1")),
    ]
    assert item["sentimentOverall"] == {"N": "0.35"}


@pytest.mark.parametrize("body", [STA, VOICE], ids=["platform", "reference"])
async def test_a_copy_or_an_older_score_changes_nothing(body, emulators, worker, records, settled):
    emulators.sqs.send(emulators.queue_url, body)
    await settled()
    before = await records()

    emulators.sqs.send(emulators.queue_url, body)
    emulators.sqs.send(emulators.queue_url, older(body))
    await settled()

    assert await records() == before


async def test_an_event_without_conversation_id_is_dead_lettered_with_its_reason(
    emulators, worker, settled
):
    event = json.loads(STA)
    del event["detail"]["eventBody"]["conversationId"]

    emulators.sqs.send(emulators.queue_url, json.dumps(event))
    await settled()

    [dead_lettered] = emulators.sqs.messages(emulators.dead_letter_url)
    note = json.loads(dead_lettered.sent.attributes["worker.failure"].value)
    assert note["reason"] == "detail.eventBody.conversationId: missing"
    assert json.loads(dead_lettered.sent.body) == event


async def test_an_unknown_caller_is_recorded_as_unknown(emulators, worker, records, settled):
    emulators.genesys.customers.clear()

    emulators.sqs.send(emulators.queue_url, VOICE)
    await settled()

    [item] = await records()
    assert item["crmTier"] == {"S": "unknown"}
    assert "crmLtv" not in item


async def test_the_reference_dialect_gives_the_same_record(
    emulators, start_worker, known_customer, records, settled
):
    async with start_worker(GENESYS_DIALECT="reference"):
        emulators.sqs.send(emulators.queue_url, VOICE)
        await settled()

    [item] = await records()
    assert item["crmTier"] == {"S": "gold"}
    assert item["crmLtv"] == {"N": "12500.0"}


async def test_with_ended_the_end_of_a_call_becomes_an_item_once_speech_analytics_has_a_score(
    emulators, start_worker, known_customer, records, settled
):
    emulators.genesys.speech.conversations[CONVERSATION] = Spoken(score=-0.42)
    message = sample("events/platform/customer_end_message.json")

    async with start_worker(VOICE_FROM="ended", HANDLERS="voice"):
        emulators.sqs.send(emulators.queue_url, sample("events/platform/customer_end_voice.json"))
        emulators.sqs.send(emulators.queue_url, message)
        await settled()

    [item] = await records()
    assert item["sentimentOverall"] == {"N": "-0.42"}
    assert item["crmTier"] == {"S": "gold"}
    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0


async def test_the_reference_texts_cannot_be_asked_for_a_score(start_worker):
    with pytest.raises(WorkerFailed, match="VOICE_FROM: ended: only the platform"):
        async with start_worker(VOICE_FROM="ended", HANDLERS="voice", GENESYS_DIALECT="reference"):
            pass
