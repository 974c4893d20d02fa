"""The sentiment of a chat is forwarded once to each receiver, with the same bytes every time."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from random import Random
from typing import Any

import orjson
import pytest
import structlog
from msgspec import structs

from tests.support.eventbridge import an_event_bridge
from tests.support.factories import NOON, a_chat_scored, a_leg_body, an_id, an_origin
from tests.support.genesys import a_guard, api_of, end
from tests.support.reading import Events, open_events
from worker.clients.aws.bus import Bus
from worker.clients.aws.session import AwsService, AwsSession, ClientLimits
from worker.clients.genesys.conversations import Batching, ConversationDetails, PlatformDetails
from worker.clients.genesys.participants import (
    Attributes,
    PlatformAttributes,
    ReferenceAttributes,
    flow_cache,
)
from worker.clients.genesys.speech import METRICS, QuerySentiment, TranscriptSentiment
from worker.clients.genesys.transcripts import Transcripts
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import origin_of
from worker.clients.webhooks import WEBHOOK_LIMITS, Webhook
from worker.emulators import WebhookSink
from worker.emulators.genesys import GenesysCloud
from worker.emulators.genesys.cloud import Spoken, a_transcript
from worker.errors import NotYet, Rejected, Transient, Unavailable
from worker.events.origin import Result
from worker.jobs.sentiment import SentimentSettings, mark_of
from worker.jobs.sentiment.handler import WRITES, ForwardChatSentiment, Mark, Sinks
from worker.jobs.sentiment.rules import SentimentRules, derived_id, forwarding_id
from worker.resilience.cache import Cache
from worker.resilience.work import OncePerKey
from worker.telemetry import metrics
from worker.telemetry.logs import configure_logging

SEVERE = (0.05, 0.07, 0.88, 0.91)
CALM = (0.7, 0.2, 0.1, 0.9)
UNSURE = (0.05, 0.07, 0.88, 0.7499)


@dataclass
class Scene:
    """Everyone around the handler."""

    cloud: Any
    bridge: Any
    crm: Any
    alert: Any
    handle: Any
    log: Any

    def audit(self):
        lines = [orjson.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line.get("logger") == "audit"]


@pytest.fixture
def audit_log():
    stream = StringIO()
    configure_logging(output="json", stream=stream)
    yield stream
    structlog.reset_defaults()


@pytest.fixture
def scene_of(monkeypatch, audit_log):
    @asynccontextmanager
    async def open_scene(*, dialect="reference", age=0, crm=True):
        cloud = GenesysCloud()
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            bridge = await enter(an_event_bridge())
            sinks = [await enter(WebhookSink()) for _ in "ab"]
            text = "r3" if dialect == "reference" else None
            api = await enter(api_of(cloud, text=text))
            monkeypatch.setenv("AWS_ENDPOINT_URL", bridge.url)
            limits = ClientLimits(pool=5, read_seconds=60, attempts=1)
            events = await enter(AwsSession().client("events", limits))
            bus = Bus(
                AwsService("events", events, a_guard("events"), "EVENT_BUS_NAME"),
                "default",
                Random(1),
            )
            stack.push_async_callback(bus.aclose)
            webhooks = [await webhook(enter, sink) for sink in sinks]
            receivers = Sinks(
                set_attributes=attributes_of(api, dialect).set_conversation_attributes,
                bus=bus,
                crm=webhooks[0] if crm else None,
                alert=webhooks[1],
                once_per_key=OncePerKey(),
            )
            handle = ForwardChatSentiment(
                sentiment=sentiment_of(api, dialect, stack),
                rules=SentimentRules(),
                sinks=receivers,
                now=lambda: NOON + timedelta(seconds=age),
                settle_seconds=1800,
                mark=Mark.FIRST if dialect == "reference" else Mark.LAST,
            )
            yield Scene(cloud, bridge, *sinks, handle, audit_log)

    return open_scene


async def webhook(enter, sink):
    http = await enter(HttpClient("hook", origin_of("hook", sink.url), WEBHOOK_LIMITS))
    return Webhook("hook", sink.url, None, a_guard("hook"), http)


def attributes_of(api, dialect):
    kind = ReferenceAttributes() if dialect == "reference" else PlatformAttributes()
    return Attributes(api, kind, Cache("flows", flow_cache(16), random=Random(1)))


def sentiment_of(api, dialect, stack):
    if dialect == "reference":
        return QuerySentiment(api)
    transcripts = Transcripts(a_guard("transcripts"), HttpLimits(total_seconds=5), loopback=True)
    stack.push_async_callback(transcripts.aclose)
    return TranscriptSentiment(
        api, ConversationDetails(api, PlatformDetails(), Batching()).by_id, transcripts
    )


def a_chat(cloud, shares=CALM):
    """A chat that ended at NOON with these shares; returns its event."""
    session = an_id()
    conversation = end(cloud, session_id=session, media_type="message")
    cloud.conversations[conversation] = {
        "id": conversation,
        "participants": [{"id": an_id(), "purpose": "customer", "attributes": {"old": "1"}}],
    }
    if shares is not None:
        positive, neutral, negative, confidence = shares
        scores = (confidence, positive, neutral, negative)
        cloud.speech.conversations[conversation] = Spoken(
            metrics=dict(zip(METRICS.values(), scores, strict=True))
        )
    return a_chat_scored(conversation_id=conversation, origin=an_origin(occurred_at=NOON))


def resent(event):
    origin = structs.replace(event.origin, event_id=an_id())
    return structs.replace(event, origin=origin)


async def test_a_calm_chat_goes_to_the_bus_and_the_crm_and_alerts_no_one(scene_of):
    async with scene_of() as scene:
        event = a_chat(scene.cloud)
        assert await scene.handle(event) is Result.OK

    payload = {
        "conversationId": event.conversation_id,
        "sentimentMatrix": {
            "polarity": "positive",
            "confidence": 0.9,
            "positive": 0.7,
            "neutral": 0.2,
            "negative": 0.1,
        },
        "escalationThreshold": 0.8,
        "forwardingId": forwarding_id(event),
        "timestamp": "2026-03-02T12:00:00.000Z",
    }
    ((kind, detail),) = scene.bridge.events()
    (note,) = scene.crm.taken
    assert (kind, orjson.loads(detail)) == ("ChatSentimentAnalysis", payload)
    assert note.body == {
        "event": "sentiment.forwarded",
        "data": payload,
        "syncTimestamp": "2026-03-02T12:00:00.000Z",
    }
    assert note.id == forwarding_id(event)
    assert scene.alert.taken == []


async def test_an_entry_on_the_bus_names_source_bus_and_the_events_time(scene_of):
    async with scene_of() as scene:
        await scene.handle(a_chat(scene.cloud))

    ((entry,),) = scene.bridge.calls
    assert (entry["Source"], entry["EventBusName"]) == ("genesys.sentiment.forwarder", "default")
    assert entry["Time"] == NOON.timestamp()


async def test_a_platform_chat_is_forwarded_from_its_transcript(scene_of):
    async with scene_of(dialect="platform") as scene:
        event = a_chat(scene.cloud, None)
        (participant,) = scene.cloud.ended[event.conversation_id].record["participants"]
        session = participant["sessions"][0]["sessionId"]
        scene.cloud.speech.conversations[event.conversation_id] = Spoken(
            -0.4, {session: a_transcript((-1, 0.9), (-1, 0.8), (0, 1))}
        )
        assert await scene.handle(event) is Result.OK
        (customer,) = scene.cloud.conversations[event.conversation_id]["participants"]

    ((_, detail),) = scene.bridge.events()
    assert orjson.loads(detail)["sentimentMatrix"] == {
        "polarity": "negative",
        "confidence": 0.9,
        "positive": 0.0,
        "neutral": 0.3333,
        "negative": 0.6667,
    }
    assert customer["attributes"] == {
        "old": "1",
        "sentimentForwardingId": forwarding_id(event),
        "forwardingStatus": "queued",
        "updatedAt": "2026-03-02T12:00:00.000Z",
    }


async def test_a_severe_chat_is_escalated_everywhere(scene_of):
    before = metrics.sentiment_escalations._value.get()
    async with scene_of() as scene:
        event = a_chat(scene.cloud, SEVERE)
        await scene.handle(event)

    details = dict(scene.bridge.events())
    (alert,) = scene.alert.taken
    assert set(details) == {"ChatSentimentAnalysis", "ChatSentimentEscalation"}
    assert alert.body["data"] == orjson.loads(details["ChatSentimentEscalation"])
    assert alert.id == derived_id(event, "alert")
    assert metrics.sentiment_escalations._value.get() == before + 1
    assert len(scene.bridge.calls) == 1


async def test_a_negative_share_at_the_threshold_is_not_severe(scene_of):
    async with scene_of() as scene:
        await scene.handle(a_chat(scene.cloud, (0.1, 0.1, 0.8, 0.9)))

    assert [kind for kind, _ in scene.bridge.events()] == ["ChatSentimentAnalysis"]


async def test_a_low_confidence_is_audited_and_sent_to_none(scene_of):
    async with scene_of() as scene:
        event = a_chat(scene.cloud, UNSURE)
        assert await scene.handle(event) is Result.SKIPPED

    assert (scene.bridge.calls, scene.crm.deliveries, scene.alert.deliveries) == ([], [], [])
    assert scene.cloud.counts["attributes"] == 0
    (entry,) = scene.audit()
    assert entry["outcome"] == "skipped_low_confidence"
    assert entry["accuracyRate"] == 0.7499


async def test_a_chat_that_is_not_analysed_is_waited_for(scene_of):
    async with scene_of(age=31) as scene:
        with pytest.raises(NotYet) as caught:
            await scene.handle(a_chat(scene.cloud, None))

    assert caught.value.retry_after == 89
    assert scene.audit() == []


async def test_a_chat_that_is_never_analysed_is_skipped_in_the_end(scene_of):
    async with scene_of(age=1800) as scene:
        assert await scene.handle(a_chat(scene.cloud, None)) is Result.SKIPPED

    (entry,) = scene.audit()
    assert entry["outcome"] == "skipped_never_analysed"
    assert entry["accuracyRate"] is None


def the_end_of(conversation, session):
    """The events of a chat's session that ended at NOON, as Genesys sends them."""
    topic = "v2.detail.events.conversation.{id}.customer.end"
    body = a_leg_body(topic, conversationId=conversation, sessionId=session, mediaType="MESSAGE")
    (event,) = open_events(body, Events(ended_types=()))
    return event


async def test_a_customer_who_came_back_is_not_judged_by_what_was_said_before(scene_of):
    """Each session has its own event; that of the first one gave what was said in it."""
    async with scene_of(dialect="platform", age=31) as scene:
        cloud, conversation = scene.cloud, a_chat(scene.cloud, None).conversation_id
        (participant,) = cloud.ended[conversation].record["participants"]
        (first,), second = participant["sessions"], an_id()
        spoken = {first["sessionId"]: a_transcript((1, 0.9))}
        cloud.speech.conversations[conversation] = Spoken(0.4, spoken)
        event = the_end_of(conversation, second)

        with pytest.raises(NotYet):
            await scene.handle(event)
        spoken[second] = a_transcript((-1, 0.9), (0, 0.9), (-1, 0.9), (-1, 0.9))
        await scene.handle(event)

    ((_, detail),) = scene.bridge.events()
    assert orjson.loads(detail)["sentimentMatrix"]["negative"] == 0.75


async def test_the_session_that_an_event_names_is_asked_for_directly(scene_of):
    """Analytics lists it later, and is down here."""
    async with scene_of(dialect="platform") as scene:
        conversation, event = a_platform_chat(scene.cloud)
        scene.cloud.fail_with("details_by_id", 503)

        assert await scene.handle(event) is Result.OK

        (customer,) = scene.cloud.conversations[conversation]["participants"]
    assert customer["attributes"]["sentimentForwardingId"] == forwarding_id(event)
    asked = ("details_by_id", "conversation", "speech", "transcript_url", "attributes")
    assert [scene.cloud.counts[name] for name in asked] == [0, 0, 1, 1, 1]


def a_platform_chat(cloud, *phrases):
    """A chat that ended, and the event that names its session and customer."""
    session, conversation = an_id(), a_chat(cloud, None).conversation_id
    file = a_transcript(*(phrases or ((-1, 0.9),)))
    cloud.speech.conversations[conversation] = Spoken(-0.4, {session: file})
    (customer,) = cloud.conversations[conversation]["participants"]
    event = the_end_of(conversation, session)
    return conversation, structs.replace(event, participant_id=customer["id"])


async def test_typed_text_without_a_confidence_is_certain(scene_of):
    async with scene_of(dialect="platform") as scene:
        _, event = a_platform_chat(scene.cloud, (-1, None), (1, None), (1, None))
        await scene.handle(event)

    ((_, detail),) = scene.bridge.events()
    assert orjson.loads(detail)["sentimentMatrix"] | {"neutral": 0} == {
        "polarity": "positive",
        "confidence": 1.0,
        "positive": 0.6667,
        "neutral": 0,
        "negative": 0.3333,
    }


@pytest.mark.parametrize("named", [True, False], ids=["participant named", "to be asked for"])
@pytest.mark.parametrize("status", [400, 403, 404, 409, 503, "gone"])
async def test_a_mark_that_is_refused_keeps_nothing_from_the_receivers(scene_of, status, named):
    async with scene_of(dialect="platform") as scene:
        conversation, event = a_platform_chat(scene.cloud)
        if status == "gone":
            del scene.cloud.conversations[conversation]
        else:
            scene.cloud.fail_with("attributes", status)
        event = event if named else structs.replace(event, participant_id=None)

        assert await scene.handle(event) is Result.OK

    kinds = {kind for kind, _ in scene.bridge.events()}
    assert kinds == {"ChatSentimentAnalysis", "ChatSentimentEscalation"}
    assert (len(scene.crm.taken), len(scene.alert.taken)) == (1, 1)
    assert [entry["outcome"] for entry in scene.audit()] == ["forwarded"]


async def test_a_conversation_is_not_marked_before_its_receivers_were_notified(scene_of):
    async with scene_of(dialect="platform") as scene:
        _, event = a_platform_chat(scene.cloud)
        scene.crm.status = 503
        with pytest.raises(Unavailable):
            await scene.handle(event)

    assert scene.cloud.counts["attributes"] == 0


@pytest.mark.parametrize(
    ("wanted", "dialect", "mark"),
    [
        (True, "platform", Mark.LAST),
        (True, "reference", Mark.FIRST),
        (False, "platform", Mark.NEVER),
        (False, "reference", Mark.NEVER),
    ],
)
def test_a_conversation_is_marked_as_setting_and_dialect_have_it(wanted, dialect, mark):
    assert mark_of(SentimentSettings(sentiment_mark=wanted), dialect) is mark


@pytest.mark.parametrize("dialect", ["reference", "platform"])
async def test_a_mark_that_is_not_wanted_costs_nothing(scene_of, dialect):
    async with scene_of(dialect=dialect) as scene:
        event = a_chat(scene.cloud) if dialect == "reference" else a_platform_chat(scene.cloud)[1]

        assert await replace(scene.handle, mark=Mark.NEVER)(event) is Result.OK

    assert scene.cloud.counts["attributes"] == 0


@pytest.mark.parametrize(("age", "waits"), [(31, True), (1800, False)])
async def test_a_transcript_whose_file_is_missing_is_waited_for_as_long_as_any(
    scene_of, age, waits
):
    async with scene_of(dialect="platform", age=age) as scene:
        event = a_chat(scene.cloud, None)
        (participant,) = scene.cloud.ended[event.conversation_id].record["participants"]
        session = participant["sessions"][0]["sessionId"]
        scene.cloud.speech.conversations[event.conversation_id] = Spoken(
            -0.4, {session: a_transcript((-1, 0.9))}
        )
        scene.cloud.fail_with("transcript_file", 404)

        with pytest.raises(NotYet) if waits else nullcontext():
            assert await scene.handle(event) is Result.SKIPPED


async def test_the_audit_entry_of_a_forwarding_has_its_fields(scene_of):
    async with scene_of() as scene:
        event = a_chat(scene.cloud, SEVERE)
        await scene.handle(event)

    (entry,) = scene.audit()
    assert entry.pop("latencyMs") >= 0
    assert entry.pop("timestamp")
    assert entry == {
        "level": "info",
        "event": "chat_sentiment_handled",
        "logger": "audit",
        "auditId": derived_id(event, "audit"),
        "conversationId": event.conversation_id,
        "forwardingId": forwarding_id(event),
        "outcome": "forwarded",
        "alertTriggered": True,
        "accuracyRate": 0.91,
        "complianceStatus": "validated",
    }


async def test_a_repeat_by_another_process_has_the_same_bytes_everywhere(scene_of):
    async with scene_of() as scene:
        event = a_chat(scene.cloud, SEVERE)
        await scene.handle(event)
        elsewhere = replace(scene.handle.sinks, once_per_key=OncePerKey())
        await replace(scene.handle, sinks=elsewhere)(resent(event))

    first, second = scene.bridge.calls
    assert sorted(map(orjson.dumps, first)) == sorted(map(orjson.dumps, second))
    for sink in (scene.crm, scene.alert):
        one, two = sink.taken
        assert (one.raw, one.id) == (two.raw, two.id)


async def test_a_crm_that_is_down_holds_up_no_one_and_repeats_nothing(scene_of):
    async with scene_of() as scene:
        event = a_chat(scene.cloud, SEVERE)
        scene.crm.status = 503
        for _ in range(3):
            with pytest.raises(Unavailable):
                await scene.handle(resent(event))
        scene.crm.status = 204
        await scene.handle(resent(event))

    kinds = [kind for kind, _ in scene.bridge.events()]
    assert sorted(kinds) == ["ChatSentimentAnalysis", "ChatSentimentEscalation"]
    assert (len(scene.alert.taken), len(scene.crm.taken)) == (1, 1)
    assert len({delivery.id for delivery in scene.crm.deliveries}) == 1
    assert len(scene.audit()) == 1


async def test_a_crm_that_refuses_dead_letters_only_after_the_bus_was_notified(scene_of):
    async with scene_of() as scene:
        event = a_chat(scene.cloud)
        scene.crm.status, scene.bridge.error = 422, "ThrottlingException"
        with pytest.raises(Transient):
            await scene.handle(event)
        scene.bridge.error = None
        with pytest.raises(Rejected):
            await scene.handle(event)

    assert scene.bridge.events()[-1][0] == "ChatSentimentAnalysis"


async def test_in_the_reference_dialect_one_that_is_gone_dead_letters_before_any_is_notified(
    scene_of,
):
    async with scene_of() as scene:
        event = a_chat(scene.cloud)
        del scene.cloud.conversations[event.conversation_id]
        with pytest.raises(Rejected) as caught:
            await scene.handle(event)

    assert caught.value.status == 404
    assert (scene.bridge.calls, scene.crm.deliveries) == ([], [])


@pytest.mark.parametrize("dialect", ["reference", "platform"])
async def test_a_conflict_is_read_anew_and_written_again(scene_of, dialect):
    async with scene_of(dialect=dialect) as scene:
        event = a_chat(scene.cloud)
        if dialect == "platform":
            (customer,) = scene.cloud.ended[event.conversation_id].record["participants"]
            session = customer["sessions"][0]["sessionId"]
            spoken = Spoken(0.4, {session: a_transcript((1, 1))})
            scene.cloud.speech.conversations[event.conversation_id] = spoken
        scene.cloud.fail_with("attributes", 409, times=WRITES - 1)
        assert await scene.handle(event) is Result.OK

    assert scene.cloud.counts["attributes"] == WRITES
    assert scene.cloud.counts["conversation"] == (WRITES if dialect == "platform" else 0)


async def test_a_conflict_without_end_is_tried_later(scene_of):
    async with scene_of() as scene:
        scene.cloud.fail_with("attributes", 409)
        with pytest.raises(Transient):
            await scene.handle(a_chat(scene.cloud))

    assert scene.cloud.counts["attributes"] == WRITES
    assert scene.bridge.calls == []


async def test_without_webhooks_the_bus_is_notified_alone(scene_of):
    async with scene_of(crm=False) as scene:
        assert await scene.handle(a_chat(scene.cloud)) is Result.OK

    assert len(scene.bridge.events()) == 1


async def test_chats_of_one_moment_share_calls_of_the_bus(scene_of):
    async with scene_of() as scene:
        events = [a_chat(scene.cloud) for _ in range(20)]
        await asyncio.gather(*map(scene.handle, events))

    assert len(scene.bridge.events()) == 20
    assert len(scene.bridge.calls) < 10


async def test_the_rules_are_those_that_were_set(scene_of):
    async with scene_of() as scene:
        rules = SentimentRules(min_confidence=Decimal(0), escalation_threshold=Decimal("0.05"))
        await replace(scene.handle, rules=rules)(a_chat(scene.cloud))

    assert {kind for kind, _ in scene.bridge.events()} == {
        "ChatSentimentAnalysis",
        "ChatSentimentEscalation",
    }
