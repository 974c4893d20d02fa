from datetime import timedelta
from decimal import Decimal
from traceback import format_exception
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.aws import TRANSPORTS
from tests.support.dynamodb import a_client, a_service, a_stub, a_table, items_of
from tests.support.factories import NOON, PHONE, a_voice_scored, an_id, an_origin
from worker.errors import Misconfigured, Permanent, RateLimited, Rejected, Unauthorized, Unavailable
from worker.jobs.voice.customers import UNKNOWN, Customer
from worker.jobs.voice.events import SpeakerScore
from worker.jobs.voice.records import EnrichmentStatus, VoiceRecord, VoiceRecords

CONVERSATION = an_id()
SENTIMENT = "v2.speechandtextanalytics.conversation.{id}.sentiment"
SECOND = timedelta(seconds=1)


@pytest.fixture(params=TRANSPORTS)
async def client(request, moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    async with a_client(request.param) as client:
        yield client


@pytest.fixture
async def table(client):
    return await a_table(client)


@pytest.fixture
async def records(client, table):
    return VoiceRecords(a_service(client), table, None, lambda: NOON)


def a_record(at=NOON, *, detail_type="voice.analytics", event=None, **over):
    origin = an_origin(occurred_at=at, detail_type=detail_type)
    fields: dict[str, Any] = {
        "event": replace(event or a_voice_scored(conversation_id=CONVERSATION), origin=origin),
        "phone_number": PHONE,
        "customer": Customer("gold", Decimal("12500.00")),
        "status": EnrichmentStatus.COMPLETE,
    }
    return VoiceRecord(**fields | over)


async def test_a_record_has_exactly_its_fields_with_exact_numbers(client, table):
    records = VoiceRecords(a_service(client), table, 3600, lambda: NOON)
    event = a_voice_scored(
        conversation_id=CONVERSATION,
        overall=Decimal("0.30000000000000004"),
        speakers=(SpeakerScore(id="agent", score=Decimal("-0.1")),),
    )

    assert await records.add(a_record(NOON + SECOND, event=event))

    assert await items_of(client, table) == [
        {
            "conversationId": {"S": CONVERSATION},
            "eventTimestamp": {"S": "2026-03-02T12:00:01.000Z"},
            "detailType": {"S": "voice.analytics"},
            "phoneNumber": {"S": PHONE},
            "sentimentOverall": {"N": "0.30000000000000004"},
            "sentimentSpeakers": {"L": [{"M": {"id": {"S": "agent"}, "score": {"N": "-0.1"}}}]},
            "crmTier": {"S": "gold"},
            "crmLtv": {"N": "12500.00"},
            "enrichmentStatus": {"S": "complete"},
            "recordedAt": {"S": "2026-03-02T12:00:00.000Z"},
            "expiresAt": {"N": "1772456400"},
        }
    ]


async def test_what_is_not_known_is_not_there(client, table, records):
    event = a_voice_scored(conversation_id=CONVERSATION, overall=None, speakers=())

    await records.add(a_record(event=event, phone_number=None, customer=None))

    (item,) = await items_of(client, table)
    assert set(item) == {
        *("conversationId", "eventTimestamp", "detailType", "enrichmentStatus", "recordedAt")
    }


async def test_an_unknown_customer_has_a_tier_and_no_value(client, table, records):
    await records.add(a_record(customer=UNKNOWN))

    (item,) = await items_of(client, table)
    assert item["crmTier"] == {"S": "unknown"}
    assert "crmLtv" not in item


async def test_a_duplicate_changes_nothing(client, table, records):
    await records.add(a_record())
    before = await items_of(client, table)

    written = await records.add(a_record(customer=Customer("silver", None)))

    assert written is False
    assert await items_of(client, table) == before


async def test_an_older_score_changes_nothing(client, table, records):
    await records.add(a_record(NOON))
    before = await items_of(client, table)

    written = await records.add(a_record(NOON - timedelta(milliseconds=1)))

    assert written is False
    assert await items_of(client, table) == before


async def test_a_newer_score_is_kept_beside_the_older_one(client, table, records):
    await records.add(a_record(NOON))

    assert await records.add(a_record(NOON + SECOND))

    assert len(await items_of(client, table)) == 2


async def test_an_older_score_of_another_feed_is_kept(client, table, records):
    await records.add(a_record(NOON, detail_type="voice.analytics"))

    assert await records.add(a_record(NOON - SECOND, detail_type="Voice Analytics Pro"))

    assert len(await items_of(client, table)) == 2


async def test_an_older_score_of_another_conversation_is_kept(client, table, records):
    await records.add(a_record(NOON))

    assert await records.add(a_record(NOON - SECOND, event=a_voice_scored()))


async def test_a_newer_score_is_seen_behind_pages_of_another_feed(client, table, records):
    # A page ends at 1 MiB of what is read, before the filter: three large items are two pages.
    speakers = (SpeakerScore(id="x" * 380_000, score=Decimal(0)),)
    large = a_voice_scored(conversation_id=CONVERSATION, speakers=speakers)
    for second in range(1, 5):
        await records.add(a_record(NOON + second * SECOND, event=large, detail_type="other"))
    await records.add(a_record(NOON + 9 * SECOND))

    assert await records.add(a_record(NOON)) is False


async def test_a_write_that_meets_an_item_of_the_same_instant_leaves_it_alone(
    client, table, records
):
    await records.add(a_record(NOON, detail_type="other"))
    before = await items_of(client, table)

    written = await records.add(a_record(NOON))

    assert written is False
    assert await items_of(client, table) == before


async def test_an_empty_key_is_refused_before_any_call(client):
    records = VoiceRecords(a_service(client), "no-such-table", None, lambda: NOON)

    with pytest.raises(Permanent, match=r"^conversationId: empty$"):
        await records.add(a_record(event=a_voice_scored(conversation_id="")))


@pytest.mark.parametrize("score", ["1e300", "1e-200", "0." + "1" * 39])
async def test_a_number_dynamodb_cannot_hold_is_refused_by_name(records, score):
    event = a_voice_scored(overall=Decimal(score))

    with pytest.raises(
        Permanent, match=r"^sentimentOverall: more than a DynamoDB number can hold$"
    ):
        await records.add(a_record(event=event))


async def test_a_missing_table_is_a_setting_to_change(client):
    records = VoiceRecords(a_service(client), "no-such-table", None, lambda: NOON)

    with pytest.raises(Misconfigured, match="ResourceNotFoundException") as caught:
        await records.add(a_record())

    assert caught.value.setting == "DYNAMODB_TABLE"


async def test_an_item_dynamodb_finds_invalid_is_permanent(client, table, records):
    speakers = (SpeakerScore(id="x" * 410_000, score=Decimal(0)),)

    with pytest.raises(Rejected, match=r"^dynamodb: ValidationException$"):
        await records.add(a_record(event=a_voice_scored(speakers=speakers)))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ProvisionedThroughputExceededException", RateLimited),
        (400, "ThrottlingException", RateLimited),
        (400, "RequestLimitExceeded", RateLimited),
        (500, "InternalServerError", Unavailable),
        (503, "Anything", Unavailable),
        (400, "TransactionConflictException", Unavailable),
        (400, "ReplicatedWriteConflictException", Unavailable),
        (400, "AccessDeniedException", Unauthorized),
        (400, "UnrecognizedClientException", Unauthorized),
        (400, "ExpiredTokenException", Unauthorized),
        (400, "ValidationException", Rejected),
    ],
)
async def test_a_refusal_of_dynamodb_has_its_class_and_none_of_its_message(
    monkeypatch, status, code, expected
):
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": f"near {PHONE}"}
    async with a_stub(status, body) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with a_client() as client:
            records = VoiceRecords(a_service(client), "records", None, lambda: NOON)

            with pytest.raises(expected) as caught:
                await records.add(a_record())

    assert str(caught.value) == f"dynamodb: {code}"
    assert PHONE not in "".join(format_exception(caught.value))


async def test_nothing_at_the_endpoint_is_transient(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    async with a_client() as client:
        records = VoiceRecords(a_service(client), "records", None, lambda: NOON)

        with pytest.raises(Unavailable, match=r"^dynamodb: EndpointConnectionError$"):
            await records.add(a_record())


def a_backfilled(at=NOON, *, asked_at):
    event = a_voice_scored(conversation_id=CONVERSATION, backfilled_at=asked_at)
    return a_record(at, event=event)


@pytest.mark.parametrize("detail_type", ["voice.analytics", "Voice Analytics", SENTIMENT])
async def test_what_came_before_a_backfilled_score_is_a_duplicate_of_it(
    records, client, table, detail_type
):
    asked_at = NOON + 3600 * SECOND
    assert await records.add(a_backfilled(asked_at=asked_at))

    for at in (NOON - SECOND, NOON + SECOND, asked_at):
        assert not await records.add(a_record(at, detail_type=detail_type))
    assert await records.add(a_record(asked_at + SECOND, detail_type=detail_type))

    assert len(await items_of(client, table)) == 2


async def test_a_backfilled_score_is_a_duplicate_of_any_record_and_of_itself(
    records, client, table
):
    await records.add(a_record(NOON - 3600 * SECOND, detail_type=SENTIMENT))

    assert not await records.add(a_backfilled(asked_at=NOON + SECOND))
    [item] = await items_of(client, table)
    assert item["detailType"] == {"S": SENTIMENT}
