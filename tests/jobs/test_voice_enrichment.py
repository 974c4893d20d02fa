"""From a voice score to its item, with an emulated Genesys Cloud and a DynamoDB over HTTP."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from tests.support.dynamodb import a_client, a_guard, a_service, a_table, items_of
from tests.support.factories import NOON, PHONE, OneForAll, a_voice_scored, an_id, an_origin
from tests.support.verbs import Verbs
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.dialects import Platform
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.cloud import Spoken
from worker.emulators.genesys.integrations import remote_credentials_expired, remote_failure
from worker.errors import Misconfigured, NotYet, Permanent, Transient
from worker.events.origin import Result
from worker.jobs.voice.customers import Customer, CustomerAction, Customers
from worker.jobs.voice.handler import EnrichVoice
from worker.jobs.voice.records import VoiceRecords
from worker.resilience.cache import Cache, CachePolicy

MINUTE = timedelta(minutes=1)
GOLD = {"tier": "gold", "ltv": 12500.5}
ACTION = CustomerAction(id="custom_-_a1")


class Clock:
    """Seconds of the cache's life."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


class Bench(NamedTuple):
    """A handler, and all it touches."""

    enrich: EnrichVoice
    cloud: GenesysCloud
    cache_clock: Clock
    stored: Callable[[], Awaitable[list[dict[str, Any]]]]

    async def item(self):
        (item,) = await self.stored()
        return {name: next(iter(value.values())) for name, value in item.items()}


@asynccontextmanager
async def genesys_of(cloud):
    async with (
        GenesysServer(cloud),
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=5)) as http,
    ):
        tokens = Tokens(http, Platform().token(cloud.client_id, cloud.client_secret))
        try:
            yield Verbs(Api(http, tokens, OneForAll(a_guard())), Platform())
        finally:
            await tokens.aclose()


@pytest.fixture
async def bench(moto, monkeypatch):
    """Five minutes after noon; the cache is fresh for ten seconds and serves for a hundred."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    clock = Clock()
    policy = CachePolicy(100, soft_ttl_seconds=10, hard_ttl_seconds=100, negative_ttl_seconds=10)
    cache: Cache[bytes, Customer] = Cache("customers", policy, random=Random(1), clock=clock)
    async with (
        genesys_of(cloud := GenesysCloud(customers={PHONE: GOLD})) as genesys,
        a_client() as db,
    ):
        table = await a_table(db)
        enrich = EnrichVoice(
            caller=genesys.caller,
            customers=Customers(genesys.execute_data_action, ACTION, cache),
            records=VoiceRecords(a_service(db), table, None, lambda: NOON),
            now=lambda: NOON + 5 * MINUTE,
            score=genesys.score,
            settle_seconds=1800,
            degrade_after_seconds=60,
        )
        yield Bench(enrich, cloud, clock, lambda: items_of(db, table))


def a_score(age=timedelta(0), **over):
    """`age`: at five minutes past noon."""
    return a_voice_scored(origin=an_origin(occurred_at=NOON + 5 * MINUTE - age), **over)


def a_conversation(address):
    return {"participants": [{"purpose": "customer", "address": address}]}


async def test_a_score_is_recorded_with_its_customer(bench):
    event = a_score()

    assert await bench.enrich(event) is Result.OK

    item = await bench.item()
    assert (item["conversationId"], item["phoneNumber"]) == (event.conversation_id, PHONE)
    assert (item["crmTier"], item["crmLtv"]) == ("gold", "12500.5")
    assert item["enrichmentStatus"] == "complete"


async def test_the_number_comes_from_the_live_conversation_when_the_event_has_none(bench):
    event = a_score(phone_number=None)
    bench.cloud.conversations[event.conversation_id] = a_conversation(f"tel:{PHONE}")

    await bench.enrich(event)

    assert (await bench.item())["crmTier"] == "gold"


async def test_the_live_conversation_is_not_asked_for_when_the_event_has_a_number(bench):
    await bench.enrich(a_score())

    assert bench.cloud.counts["conversation"] == 0


def a_call_that_ended(age=timedelta(0)):
    return a_score(age, overall=None, speakers=(), is_scored=False)


async def test_a_call_that_ended_is_recorded_with_the_score_that_is_asked_for(bench):
    event = a_call_that_ended()
    bench.cloud.speech.conversations[event.conversation_id] = Spoken(score=-0.42)

    assert await bench.enrich(event) is Result.OK

    item = await bench.item()
    assert (item["sentimentOverall"], item["crmTier"]) == ("-0.42", "gold")


async def test_a_call_that_is_not_analysed_yet_waits_and_asks_nothing_else(bench):
    with pytest.raises(NotYet) as caught:
        await bench.enrich(a_call_that_ended())

    assert caught.value.retry_after == 30
    assert dict(bench.cloud.counts) == {"token": 1, "speech": 1}


async def test_a_call_that_never_gets_a_score_is_no_record(bench):
    assert await bench.enrich(a_call_that_ended(30 * MINUTE)) is Result.SKIPPED

    assert await bench.stored() == []


async def test_a_score_that_may_not_be_asked_for_degrades_nothing_and_waits(bench):
    bench.cloud.permissions = {"recording:recording:view"}

    with pytest.raises(Misconfigured, match="speechAndTextAnalytics:data:view"):
        await bench.enrich(a_call_that_ended(30 * MINUTE))

    assert await bench.stored() == []


async def test_an_unknown_customer_is_unknown_and_complete(bench):
    bench.cloud.customers.clear()

    assert await bench.enrich(a_score()) is Result.OK

    item = await bench.item()
    assert (item["crmTier"], item["enrichmentStatus"]) == ("unknown", "complete")
    assert "crmLtv" not in item


@pytest.mark.parametrize("address", ["sip:someone@example.com", "anonymous"])
async def test_a_conversation_without_a_number_is_of_an_unknown_customer(bench, address):
    event = a_score(phone_number=None)
    bench.cloud.conversations[event.conversation_id] = a_conversation(address)

    assert await bench.enrich(event) is Result.OK

    item = await bench.item()
    assert (item["crmTier"], item["enrichmentStatus"]) == ("unknown", "unidentified")
    assert "phoneNumber" not in item
    assert bench.cloud.counts["data_action"] == 0


@pytest.mark.parametrize("number", ["0049 30 1234567", "(555) 010-0001", "1001"])
async def test_a_number_that_is_not_e164_is_kept_as_it_came_and_not_looked_up(bench, number):
    event = a_score(phone_number=None)
    bench.cloud.conversations[event.conversation_id] = a_conversation(f"tel:{number}")

    assert await bench.enrich(event) is Result.OK

    item = await bench.item()
    assert (item["phoneNumber"], item["enrichmentStatus"]) == (number, "unidentified")
    assert bench.cloud.counts["data_action"] == 0


def a_platform_score(cloud, *legs, **over):
    """The score of a conversation whose customer has legs of these media."""
    event = a_score(is_call=False, phone_number=None, **over)
    conversation = a_conversation(f"tel:{PHONE}")
    conversation["participants"][0] |= {name: [{"id": an_id()}] for name in legs}
    cloud.conversations[event.conversation_id] = conversation
    return event


@pytest.mark.parametrize("medium", ["messages", "emails", "chats", "internalMessages"])
async def test_the_sentiment_of_another_medium_is_no_voice_record(bench, medium):
    event = a_platform_score(bench.cloud, medium)

    assert await bench.enrich(event) is Result.SKIPPED

    assert await bench.stored() == []
    assert bench.cloud.counts["data_action"] == 0


@pytest.mark.parametrize("legs", [("calls",), ("callbacks", "calls"), ("messages", "calls"), ()])
async def test_a_score_of_a_conversation_that_may_be_a_call_is_recorded(bench, legs):
    assert await bench.enrich(a_platform_score(bench.cloud, *legs)) is Result.OK

    assert (await bench.item())["crmTier"] == "gold"


async def test_a_score_whose_medium_cannot_be_asked_for_is_recorded_degraded(bench):
    event = a_platform_score(bench.cloud, "calls", age=2 * MINUTE)
    bench.cloud.fail_with("conversation", 503)

    assert await bench.enrich(event) is Result.DEGRADED

    assert (await bench.item())["enrichmentStatus"] == "degraded"


async def test_a_call_is_recorded_degraded_while_the_data_action_is_down(bench):
    event = a_platform_score(bench.cloud, "calls", age=2 * MINUTE)
    bench.cloud.fail_with("data_action", 503)

    assert await bench.enrich(event) is Result.DEGRADED

    item = await bench.item()
    assert (item["enrichmentStatus"], item["phoneNumber"]) == ("degraded", PHONE)


async def test_a_customer_is_asked_for_once_while_the_answer_is_fresh(bench):
    await bench.enrich(a_score())

    await bench.enrich(a_score())

    assert bench.cloud.counts["data_action"] == 1


async def test_the_same_event_again_is_a_duplicate(bench):
    event = a_score()
    await bench.enrich(event)

    assert await bench.enrich(event) is Result.DUPLICATE

    assert len(await bench.stored()) == 1


async def test_an_event_waits_while_the_data_action_is_down(bench):
    bench.cloud.fail_with("data_action", 503)

    with pytest.raises(Transient):
        await bench.enrich(a_score(age=MINUTE))

    assert await bench.stored() == []


async def test_an_old_event_is_recorded_without_its_customer_while_the_data_action_is_down(bench):
    bench.cloud.fail_with("data_action", 503)

    assert await bench.enrich(a_score(age=2 * MINUTE)) is Result.DEGRADED

    item = await bench.item()
    assert (item["enrichmentStatus"], item["phoneNumber"]) == ("degraded", PHONE)
    assert not {"crmTier", "crmLtv"} & set(item)


async def test_an_old_event_is_recorded_without_a_number_while_the_conversation_cannot_be_had(
    bench,
):
    bench.cloud.fail_with("conversation", 503)

    assert await bench.enrich(a_score(age=2 * MINUTE, phone_number=None)) is Result.DEGRADED

    assert not {"crmTier", "crmLtv", "phoneNumber"} & set(await bench.item())


async def test_no_event_is_too_old_to_wait_when_degrading_is_off(bench):
    bench.cloud.fail_with("data_action", 503)
    enrich = EnrichVoice(
        caller=bench.enrich.caller,
        customers=bench.enrich.customers,
        records=bench.enrich.records,
        now=bench.enrich.now,
    )

    with pytest.raises(Transient):
        await enrich(a_score(age=10_000 * MINUTE))


async def test_a_customer_seen_before_serves_stale_while_the_data_action_is_down(bench):
    await bench.enrich(a_score(conversation_id=an_id()))
    bench.cache_clock.seconds = 50
    bench.cloud.fail_with("data_action", 503)
    event = a_score()

    assert await bench.enrich(event) is Result.DEGRADED

    (item,) = [
        item
        for item in await bench.stored()
        if item["conversationId"]["S"] == event.conversation_id
    ]
    assert item["enrichmentStatus"] == {"S": "stale"}
    assert item["crmTier"] == {"S": "gold"}


async def test_a_customer_of_the_conversation_seen_before_serves_while_its_number_cannot_be_had(
    bench,
):
    first = a_score(age=MINUTE, phone_number=None)
    bench.cloud.conversations[first.conversation_id] = a_conversation(f"tel:{PHONE}")
    await bench.enrich(first)
    bench.cloud.fail_with("conversation", 503)
    later = a_score(phone_number=None, conversation_id=first.conversation_id)

    assert await bench.enrich(later) is Result.DEGRADED

    item = max(await bench.stored(), key=lambda item: item["eventTimestamp"]["S"])
    assert item["enrichmentStatus"] == {"S": "stale"}
    assert item["crmTier"] == {"S": "gold"}
    assert "phoneNumber" not in item


async def test_no_customer_of_another_conversation_serves(bench):
    await bench.enrich(a_score(conversation_id=an_id()))
    bench.cloud.fail_with("conversation", 503)

    with pytest.raises(Transient):
        await bench.enrich(a_score(phone_number=None))


async def test_a_customer_is_remembered_for_a_conversation_no_longer_than_at_all(bench):
    first = a_score(age=MINUTE)
    await bench.enrich(first)
    bench.cache_clock.seconds = 200
    bench.cloud.fail_with("conversation", 503)

    with pytest.raises(Transient):
        await bench.enrich(a_score(phone_number=None, conversation_id=first.conversation_id))


@pytest.mark.parametrize("answer", [remote_failure(500), remote_credentials_expired])
async def test_a_remembered_customer_serves_while_the_system_behind_the_action_is_down(
    bench, answer
):
    await bench.enrich(a_score(age=MINUTE))
    bench.cache_clock.seconds = 50
    bench.cloud.fail_with("data_action", answer)

    assert await bench.enrich(a_score()) is Result.DEGRADED


async def test_a_404_of_the_system_behind_the_action_is_an_unknown_customer(bench):
    bench.cloud.fail_with("data_action", remote_failure(404))

    assert await bench.enrich(a_score()) is Result.OK

    assert (await bench.item())["crmTier"] == "unknown"


async def test_an_unknown_data_action_dead_letters_nothing(bench):
    bench.cloud.action_ids = set()

    with pytest.raises(Misconfigured):
        await bench.enrich(a_score())


async def test_an_output_that_cannot_be_read_dead_letters_the_event(bench):
    bench.cloud.customers[PHONE] = {"tier": "gold", "ltv": True}

    with pytest.raises(Permanent, match=r"^data action output ltv: not a number$"):
        await bench.enrich(a_score())


async def test_no_phone_number_is_logged_or_kept_readable_in_the_cache(bench):
    bench.cloud.fail_with("data_action", 503, times=1)

    with capture_logs() as logs:
        await bench.enrich(a_score(age=2 * MINUTE))
        await bench.enrich(a_score(age=2 * MINUTE))

    assert PHONE[1:] not in repr(logs)
    assert PHONE not in repr(vars(bench.enrich.customers._cache))
