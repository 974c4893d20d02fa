"""A conversation gets what the CRM knows of its customer: right ones, once, or not at all."""

import asyncio
import gzip
import io
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

import httpx
import pytest
import structlog

from tests.clients.test_http_bytes import a_reply, a_server
from tests.support.factories import NOON, PHONE, OneForAll, an_attributes_wanted, an_id, an_origin
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.dialects import Platform
from worker.clients.genesys.participants import (
    Attributes,
    PlatformAttributes,
    ReferenceAttributes,
    Schema,
    flow_cache,
)
from worker.clients.http import HttpClient, HttpLimits, HttpService
from worker.clients.http_types import origin_of
from worker.clients.webhooks import WEBHOOK_LIMITS, Webhook
from worker.emulators import CrmServer, CrmState, WebhookSink
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.conversations import a_flow
from worker.errors import Permanent, RateLimited, Rejected, Transient, Unavailable
from worker.events.origin import Result
from worker.jobs.attributes.crm import Crm, Record
from worker.jobs.attributes.handler import InjectAttributes, Policy, payload_sha256, trace_id
from worker.jobs.attributes.inspector import Rules
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.cache import Cache, CachePolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy
from worker.telemetry import metrics
from worker.telemetry.logs import configure_logging

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

FLOW = an_id()
INPUTS = {"tier": "string", "ltv": "number", "vip": "boolean", "renewal": "date"}
RECORD = {"tier": "gold-canary", "ltv": "12.50", "vip": "YES", "renewal": "2026-04-01", "x": 1}
FITTING = {"tier": "gold-canary", "ltv": "12.5", "vip": "true", "renewal": "2026-04-01"}
CACHE = CachePolicy(
    max_entries=100, soft_ttl_seconds=300, hard_ttl_seconds=3600, negative_ttl_seconds=60
)


@dataclass
class World:
    """The handler among its upstreams."""

    handler: InjectAttributes
    crm: CrmState
    cloud: GenesysCloud
    sink: WebhookSink

    def attributes(self, event):
        return self.cloud.conversations[event.conversation_id]["participants"][0]["attributes"]


def a_guard(upstream):
    policy = GuardPolicy(RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1), 20)
    clock = asyncio.get_running_loop().time
    breaker = Breaker(upstream, BreakerPolicy(), clock=clock, random=Random(1))
    return Guard(policy, breaker=breaker, random=Random(1))


@asynccontextmanager
async def a_world(age=0, dialect=None, rules=None):
    """`age`: seconds that an event of NOON is old."""
    limits = HttpLimits(total_seconds=10)
    async with (
        CrmServer() as crm_server,
        GenesysServer() as cloud,
        WebhookSink() as sink,
        HttpClient("crm", origin_of("crm", crm_server.url), limits) as crm_http,
        HttpClient("genesys", cloud.url, limits) as genesys_http,
        HttpClient("analytics", origin_of("analytics", sink.url), WEBHOOK_LIMITS) as hook_http,
    ):
        customers: Cache[bytes, Record] = Cache("crm", CACHE, random=Random(1))
        flows: Cache[str, Schema] = Cache("flows", flow_cache(16), random=Random(1))
        tokens = Tokens(genesys_http, Platform().token(cloud.client_id, cloud.client_secret))
        api = Api(genesys_http, tokens, OneForAll(a_guard("genesys")))
        cloud.flows[FLOW] = a_flow(FLOW, INPUTS)
        crm_server.by_phone[PHONE] = RECORD
        yield World(
            InjectAttributes(
                crm=Crm(crm_server.url, HttpService("crm", crm_http, a_guard("crm")), customers),
                genesys=Attributes(api, dialect or PlatformAttributes(), flows),
                policy=Policy(flow_id=FLOW, max_age_seconds=900, rules=rules or Rules()),
                analytics=Webhook("analytics", sink.url, None, a_guard("analytics"), hook_http),
                now=lambda: NOON + timedelta(seconds=age),
            ),
            crm_server,
            cloud,
            sink,
        )
        await tokens.aclose()


def an_event_in(world, **over):
    """An event of NOON whose conversation lives."""
    event = an_attributes_wanted(**{"origin": an_origin(occurred_at=NOON), **over})
    customer = {"id": event.participant_id or an_id(), "purpose": "customer", "attributes": {}}
    live = {"id": event.conversation_id, "participants": [customer]}
    world.cloud.conversations[event.conversation_id] = live
    return event


@pytest.fixture
def lines():
    """What was logged, at debug, as JSON objects."""
    stream = io.StringIO()
    configure_logging("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def audit_of(lines):
    return [line for line in lines() if line.get("logger") == "audit"]


async def test_what_the_crm_knows_and_the_flow_takes_becomes_attributes():
    async with a_world() as world:
        event = an_event_in(world)

        assert await world.handler(event) is Result.OK
        assert world.attributes(event) == FITTING


TYPED = b'"ltv":"12.50","vip":"YES","renewal":"2026-04-01"'


@pytest.mark.parametrize(
    ("body", "headers", "tier"),
    [
        (b'{"tier":"gold",%b}', [b"X-Trace: " + b"t" * 60 * 1024], "gold"),
        (b'{"tier":"Jos\xe9",%b}', [b"Content-Type: application/json; charset=latin-1"], "José"),
        (b'\xef\xbb\xbf{"tier":"gold",%b}', [], "gold"),
        (b'{"tier":"gold","x":"\\ud83d",%b}', [], "gold"),
        (b'{"tier":"gold","x":NaN,%b}', [], "gold"),
        (b'{"tier":"gold",%b}', [b"Content-Encoding: x-gzip"], "gold"),
    ],
    ids=["a header of 60 KiB", "latin-1", "BOM", "lone surrogate", "NaN", "x-gzip"],
)
async def test_a_reply_as_crms_in_the_field_give_it_costs_one_call(body, headers, tier):
    body = body % TYPED
    if headers == [b"Content-Encoding: x-gzip"]:
        body = gzip.compress(body[:9]) + gzip.compress(body[9:])
    limits = HttpLimits(total_seconds=10)
    async with (
        a_world() as world,
        a_server(a_reply(body, *headers)) as (url, asked),
        HttpClient("crm", url, limits) as http,
    ):
        service = HttpService("crm", http, a_guard("crm"))
        crm = Crm(f"{url}/customers", service, Cache("crm", CACHE, random=Random(1)))
        event = an_event_in(world)

        assert await replace(world.handler, crm=crm)(event) is Result.OK

    assert (len(asked), world.attributes(event)) == (1, FITTING | {"tier": tier})


async def test_the_reference_dialect_writes_to_the_conversation_and_keeps_the_types():
    rules = Rules(typed=True)
    async with a_world(dialect=ReferenceAttributes(), rules=rules) as world:
        event = an_event_in(world, participant_id=None)

        assert await world.handler(event) is Result.OK
        written = world.cloud.conversations[event.conversation_id]["attributes"]
        assert written == FITTING | {"ltv": 12.5, "vip": True}


async def test_an_event_costs_one_request_to_genesys_once_the_flow_is_known():
    async with a_world() as world:
        await world.handler(an_event_in(world))
        world.cloud.counts.clear()

        await world.handler(an_event_in(world))

        assert world.cloud.counts == {"attributes": 1}


async def test_crm_and_flow_are_asked_at_the_same_time():
    async with a_world() as world:
        await world.handler.genesys.customer(an_event_in(world).conversation_id, None)  # a token
        world.crm.latency_seconds = world.cloud.latency_seconds = 2
        event = an_event_in(world)
        started = asyncio.get_running_loop().time()

        await world.handler(event)

        assert asyncio.get_running_loop().time() - started == pytest.approx(4, abs=0.3)


async def test_the_customer_is_looked_up_when_the_event_names_none():
    async with a_world() as world:
        event = an_event_in(world, participant_id=None)

        assert await world.handler(event) is Result.OK
        assert world.attributes(event) == FITTING


async def test_nothing_is_written_when_all_is_there_already():
    async with a_world() as world:
        event = an_event_in(world, participant_id=None)
        await world.handler(event)

        assert await world.handler(event) is Result.DUPLICATE
        assert world.cloud.counts["attributes"] == 1


async def test_an_unknown_customer_gets_no_attributes():
    async with a_world() as world:
        world.crm.by_phone.clear()
        event = an_event_in(world)

        assert await world.handler(event) is Result.SKIPPED
        assert world.attributes(event) == {}
        assert world.sink.deliveries == []


async def test_a_record_without_anything_the_flow_takes_is_not_written():
    async with a_world() as world:
        world.crm.by_phone[PHONE] = {"x": 1}

        assert await world.handler(an_event_in(world)) is Result.SKIPPED
        assert world.cloud.counts["attributes"] == 0


async def test_a_mismatch_is_left_out_and_the_rest_is_written():
    async with a_world() as world:
        world.crm.by_phone[PHONE] = {"tier": "gold", "ltv": "much"}
        event = an_event_in(world)

        assert await world.handler(event) is Result.OK
        assert world.attributes(event) == {"tier": "gold"}


async def test_a_mismatch_fails_the_event_when_rules_are_strict():
    async with a_world(rules=Rules(strict=True)) as world:
        world.crm.by_phone[PHONE] = {"tier": "gold", "ltv": "much-canary"}
        event = an_event_in(world)

        with pytest.raises(Permanent) as caught:
            await world.handler(event)

        assert caught.value.reason == "attributes do not fit the flow: ltv"
        assert world.attributes(event) == {}


async def test_a_crm_that_is_down_is_waited_for_and_nothing_empty_is_written():
    async with a_world(age=900) as world:
        world.crm.status = 503
        event = an_event_in(world)

        with pytest.raises(Unavailable):
            await world.handler(event)

        assert world.cloud.counts["attributes"] == 0


async def test_an_event_expires_when_the_crm_is_down_for_longer_than_it_matters():
    async with a_world(age=901) as world:
        world.crm.status = 503

        assert await world.handler(an_event_in(world)) is Result.EXPIRED
        assert world.cloud.counts["attributes"] == 0


@pytest.mark.parametrize("status", [404, 410])
async def test_an_event_expires_whose_conversation_is_gone_when_it_no_longer_matters(status):
    """After an outage, or by a replay, a day of them comes: the dead letters are not for these."""
    async with a_world(age=901) as world:
        world.cloud.fail_with("attributes", status)

        assert await world.handler(an_event_in(world)) is Result.EXPIRED


async def test_an_old_event_is_dead_lettered_all_the_same_when_its_write_is_refused():
    async with a_world(age=901) as world:
        world.cloud.fail_with("attributes", 400)

        with pytest.raises(Rejected):
            await world.handler(an_event_in(world))


async def test_an_old_event_is_written_when_nothing_is_in_its_way():
    async with a_world(age=86_400) as world:
        event = an_event_in(world)

        assert await world.handler(event) is Result.OK
        assert world.attributes(event) == FITTING


async def test_a_conversation_asked_for_before_is_written_while_the_crm_is_down():
    async with a_world() as world:
        event = an_event_in(world)
        await world.handler(event)
        world.attributes(event).clear()
        world.crm.status = 503
        await asyncio.sleep(1000)

        assert await world.handler(event) is Result.DEGRADED
        assert world.attributes(event) == FITTING


async def test_callers_of_one_number_get_their_own_attributes_with_the_crm_up_and_down():
    """P43: an answer for one conversation is used for no other."""
    async with a_world() as world:
        first, second, late = (an_event_in(world, phone_number=PHONE) for _ in range(3))
        world.crm.by_phone.clear()
        for event, tier in ((first, "gold"), (second, "iron"), (late, "lead")):
            world.crm.by_conversation[event.conversation_id] = {"tier": tier}
        await asyncio.gather(world.handler(first), world.handler(second))
        with_crm = [world.attributes(event)["tier"] for event in (first, second)]
        world.crm.status = 503
        await asyncio.sleep(1000)
        for event in (first, second):
            world.attributes(event).clear()
            assert await world.handler(event) is Result.DEGRADED
        without_crm = [world.attributes(event)["tier"] for event in (first, second)]
        with pytest.raises(Unavailable):
            await world.handler(late)

        assert with_crm == without_crm == ["gold", "iron"]
        assert world.attributes(late) == {}


async def test_no_customer_behind_the_first_caller_of_a_number_does_not_skip_the_second():
    async with a_world() as world:
        world.crm.by_phone.clear()
        first, second = (an_event_in(world, phone_number=PHONE) for _ in range(2))
        world.crm.by_conversation[second.conversation_id] = {"tier": "gold"}

        assert await world.handler(first) is Result.SKIPPED
        assert await world.handler(second) is Result.OK
        assert world.attributes(second) == {"tier": "gold"}


async def test_a_flow_that_is_not_published_is_waited_for():
    async with a_world() as world:
        world.cloud.flows.clear()

        with pytest.raises(Transient) as caught:
            await world.handler(an_event_in(world))

    assert caught.value.retry_after == 60


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_refused_write_dead_letters_the_message(status):
    async with a_world() as world:
        world.cloud.fail_with("attributes", status)

        with pytest.raises(Rejected):
            await world.handler(an_event_in(world))


async def test_a_revoked_token_is_replaced_once():
    async with a_world() as world:
        await world.handler(an_event_in(world))
        world.cloud.revoke_tokens()
        event = an_event_in(world)

        assert await world.handler(event) is Result.OK
        assert world.cloud.counts["token"] == 2


async def test_a_429_says_how_long_to_wait():
    async with a_world() as world:
        world.cloud.fail_with("attributes", 429, retry_after=42)

        with pytest.raises(RateLimited) as caught:
            await world.handler(an_event_in(world))

    assert caught.value.retry_after == 42


async def test_analytics_is_notified_with_the_time_of_the_event_and_its_trace_id():
    async with a_world() as world:
        event = an_event_in(world)
        await world.handler(event)

    (delivery,) = world.sink.taken
    assert delivery.body == {
        "eventType": "conversation.attributes.enriched",
        "conversationId": event.conversation_id,
        "attributes": FITTING,
        "traceId": trace_id(event),
        "timestamp": "2026-03-02T12:00:00.000Z",
    }
    assert delivery.headers["x-trace-id"] == delivery.id == trace_id(event)


async def test_a_repeat_sends_analytics_the_same_bytes_under_the_same_id():
    async with a_world() as world:
        event = an_event_in(world)
        await world.handler(event)
        await world.handler(event)

    first, second = world.sink.taken
    assert (first.id, first.raw) == (second.id, second.raw)


@pytest.mark.parametrize("status", [410, 500])
async def test_analytics_that_refuses_or_is_down_fails_no_event(status):
    lost = metrics.best_effort_failures.labels("analytics_webhook")
    before = lost._value.get()
    async with a_world() as world:
        world.sink.status = status
        event = an_event_in(world)

        assert await world.handler(event) is Result.OK
        assert world.attributes(event) == FITTING
    assert lost._value.get() - before == 1


async def test_analytics_that_hangs_holds_no_one_up_for_long():
    async with a_world() as world:
        world.sink.latency_seconds = 3600
        await asyncio.gather(*(world.handler(an_event_in(world)) for _ in range(20)))
        started = asyncio.get_running_loop().time()

        await asyncio.gather(*(world.handler(an_event_in(world)) for _ in range(20)))

        assert asyncio.get_running_loop().time() - started < 1


async def test_analytics_that_hangs_for_minutes_costs_less_than_a_tenth_of_the_throughput():
    async def handled(hook_seconds):
        async with a_world() as world, asyncio.TaskGroup() as group:
            world.cloud.latency_seconds, world.sink.latency_seconds = 4, hook_seconds
            end = asyncio.get_running_loop().time() + 600

            async def slot():
                count = 0
                while asyncio.get_running_loop().time() < end:
                    await world.handler(an_event_in(world))
                    count += 1
                return count

            slots = [group.create_task(slot()) for _ in range(8)]
        return sum(task.result() for task in slots)

    assert await handled(30) > 0.9 * await handled(0)


async def test_no_connection_is_made_to_an_address_an_event_names(monkeypatch):
    called = []
    connect = asyncio.get_running_loop().sock_connect

    async def spy(sock, address):
        called.append(address[:2])
        return await connect(sock, address)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", spy)
    async with a_world() as world:
        ours = {
            (url.host, url.port)
            for url in map(httpx.URL, (world.crm.url, world.cloud.url, world.sink.url))
        }
        for hostile in ("http://169.254.169.254/", "//evil.test", "https://x@evil.test", "[::1]:1"):
            event = an_event_in(world, phone_number=hostile)
            world.crm.by_conversation[event.conversation_id] = RECORD
            assert await world.handler(event) is Result.OK

    assert called
    assert set(called) <= ours


async def test_a_success_is_audited(lines):
    async with a_world() as world:
        event = an_event_in(world)
        await world.handler(event)

    (entry,) = audit_of(lines)
    assert entry.pop("latencyMs") >= 0
    assert entry.pop("timestamp")
    assert entry == {
        "level": "info",
        "logger": "audit",
        "event": "attributes_injected",
        "conversationId": event.conversation_id,
        "traceId": trace_id(event),
        "success": True,
        "result": "ok",
        "payloadSha256": payload_sha256(FITTING),
        "errorClass": None,
    }


async def test_a_failure_is_audited_with_the_class_of_its_error(lines):
    async with a_world() as world:
        world.cloud.fail_with("attributes", 404)
        with pytest.raises(Rejected):
            await world.handler(an_event_in(world))

    (entry,) = audit_of(lines)
    assert (entry["success"], entry["errorClass"], entry["result"]) == (False, "Rejected", None)
    assert entry["payloadSha256"] == payload_sha256(FITTING)


async def test_an_expired_event_is_audited_as_none_that_succeeded(lines):
    async with a_world(age=901) as world:
        world.crm.status = 503
        await world.handler(an_event_in(world))

    (entry,) = audit_of(lines)
    assert (entry["success"], entry["errorClass"]) == (False, "Unavailable")
    assert entry["result"] == "expired"


async def test_no_value_and_no_number_is_logged_at_debug_whatever_fails(lines):
    async with a_world() as world:
        await world.handler(an_event_in(world))
        world.crm.by_phone[PHONE] = {"tier": "gold-canary", "ltv": "much-canary"}
        for failing in ("attributes", "flow"):
            await asyncio.sleep(400)
            world.cloud.fail_with(failing, 500, times=1)
            await one_run(world)
        world.cloud.flows.clear()
        await one_run(world)
        world.crm.status = 503
        await one_run(world, phone_number="+15550100002")

    text = json.dumps(lines())
    assert {"attributes_inspected", "attributes_left_out", "genesys_call_failed"} <= {
        line["event"] for line in lines()
    }
    assert "canary" not in text
    assert "1555010000" not in text


async def one_run(world, **over):
    with suppress(Transient):
        await world.handler(an_event_in(world, **over))
