"""The CRM is asked once per conversation, believed when it knows no one, missed for a while."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random

import pytest

from tests.support.factories import PHONE, an_id
from worker.clients.http import HttpClient, HttpLimits, HttpService
from worker.clients.http_types import Reply, origin_of, path_of
from worker.emulators import CrmServer, CrmState
from worker.errors import (
    ConfigurationError,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from worker.jobs.attributes.crm import Crm, Record, record_of
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.cache import Cache, CachePolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

BIG = {"x": 1234567890123456789, "y": None}
GOLD = {"tier": "gold"}
JOSE = {"name": "Jos\u00e9"}
POLICY = CachePolicy(
    max_entries=10, soft_ttl_seconds=300, hard_ttl_seconds=3600, negative_ttl_seconds=60
)


def a_guard(upstream):
    policy = GuardPolicy(RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1), 10)
    clock = asyncio.get_running_loop().time
    breaker = Breaker(upstream, BreakerPolicy(), clock=clock, random=Random(1))
    return Guard(policy, breaker=breaker, random=Random(1))


@asynccontextmanager
async def a_crm(token=None, cache_by="conversation", **server):
    async with (
        CrmServer(CrmState(**server)) as served,
        HttpClient("crm", origin_of("crm", served.url), HttpLimits(total_seconds=5)) as http,
    ):
        service = HttpService("crm", http, a_guard("crm"))
        cache: Cache[bytes, Record] = Cache("crm", POLICY, random=Random(1))
        crm = Crm(served.url, service, cache, token=token, cache_by=cache_by)
        yield crm, served


async def test_a_customer_is_found_by_the_conversation():
    conversation = an_id()
    async with a_crm(by_conversation={conversation: GOLD}) as (crm, _server):
        found = await crm.find(conversation, None)

    assert found.value == GOLD
    assert not found.stale


async def test_a_customer_is_found_by_the_phone_number():
    async with a_crm(by_phone={PHONE: GOLD}) as (crm, _server):
        assert (await crm.find(an_id(), PHONE)).value == GOLD


async def test_a_conversation_is_asked_for_once():
    conversation = an_id()
    async with a_crm(by_phone={PHONE: GOLD}) as (crm, server):
        for _ in range(2):
            assert (await crm.find(conversation, PHONE)).value == GOLD

        assert server.counts.total() == 1


async def test_two_callers_of_one_number_are_two_customers_with_the_crm_up_and_down():
    known = {an_id(): {"account": "one"}, an_id(): {"account": "two"}}
    async with a_crm(by_conversation=known) as (crm, server):
        for conversation, record in known.items():
            assert (await crm.find(conversation, PHONE)).value == record
        server.status = 503
        await asyncio.sleep(1000)

        for conversation, record in known.items():
            found = await crm.find(conversation, PHONE)
            assert (found.value, found.stale) == (record, True)


async def test_a_new_caller_of_a_number_waits_and_gets_no_answer_of_another_while_the_crm_is_down():
    first = an_id()
    async with a_crm(by_conversation={first: GOLD}) as (crm, server):
        await crm.find(first, PHONE)
        server.status = 503

        with pytest.raises(Unavailable):
            await crm.find(an_id(), PHONE)


async def test_no_customer_behind_one_conversation_does_not_skip_the_next_of_its_number():
    second = an_id()
    async with a_crm(by_conversation={second: GOLD}) as (crm, _server):
        assert (await crm.find(an_id(), PHONE)).value is None

        assert (await crm.find(second, PHONE)).value == GOLD


async def test_no_customer_without_a_number_is_asked_for_again_with_one():
    conversation = an_id()
    async with a_crm(by_phone={PHONE: GOLD}) as (crm, _server):
        assert (await crm.find(conversation, None)).value is None

        assert (await crm.find(conversation, PHONE)).value == GOLD


async def test_by_phone_the_number_alone_is_asked_for_and_its_answer_is_shared():
    first = an_id()
    async with a_crm(
        cache_by="phone", by_phone={PHONE: GOLD}, by_conversation={first: {"of": "first"}}
    ) as (crm, server):
        assert (await crm.find(first, PHONE)).value == GOLD
        assert (await crm.find(an_id(), PHONE)).value == GOLD

        assert server.counts.total() == 1


async def test_by_phone_a_conversation_without_a_number_is_asked_for_by_itself():
    first, second = an_id(), an_id()
    async with a_crm(cache_by="phone", by_conversation={first: GOLD}) as (crm, server):
        assert (await crm.find(first, None)).value == GOLD
        assert (await crm.find(second, None)).value is None

        assert server.counts.total() == 2


async def test_two_conversations_without_a_number_are_two_customers():
    async with a_crm() as (crm, server):
        await crm.find(an_id(), None)
        await crm.find(an_id(), None)

        assert server.counts.total() == 2


async def test_no_customer_is_an_answer_and_believed_for_a_minute():
    conversation = an_id()
    async with a_crm() as (crm, server):
        assert (await crm.find(conversation, PHONE)).value is None
        await crm.find(conversation, PHONE)
        assert server.counts == {404: 1}

        await asyncio.sleep(70)
        await crm.find(conversation, PHONE)

        assert server.counts == {404: 2}


async def test_a_customer_without_any_field_is_no_one():
    async with a_crm(by_phone={PHONE: {}}) as (crm, _server):
        assert (await crm.find(an_id(), PHONE)).value is None


async def test_a_stale_answer_is_served_and_marked_while_the_crm_is_down():
    conversation = an_id()
    async with a_crm(by_phone={PHONE: GOLD}) as (crm, server):
        await crm.find(conversation, PHONE)
        server.status = 503
        await asyncio.sleep(1000)

        found = await crm.find(conversation, PHONE)

    assert found.value == GOLD
    assert found.stale


async def test_no_answer_is_served_beyond_its_hard_lifetime():
    conversation = an_id()
    async with a_crm(by_phone={PHONE: GOLD}) as (crm, server):
        await crm.find(conversation, PHONE)
        server.status = 503
        await asyncio.sleep(4000)

        with pytest.raises(Unavailable):
            await crm.find(conversation, PHONE)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, Unavailable),
        (400, Rejected),
        (401, Unauthorized),
        (403, Unauthorized),
        (408, Unavailable),
        (429, RateLimited),
        (500, Unavailable),
    ],
)
async def test_a_refusal_has_its_class_and_names_no_customer(status, error):
    async with a_crm(status=status) as (crm, _server):
        with pytest.raises(error) as caught:
            await crm.find(an_id(), PHONE)

    assert str(caught.value) == f"crm: {status}"


async def test_the_wait_a_busy_crm_asks_for_is_passed_on():
    async with a_crm(status=429, retry_after="42") as (crm, _server):
        with pytest.raises(Transient) as caught:
            await crm.find(an_id(), PHONE)

    assert caught.value.retry_after == 42


async def test_no_call_is_made_before_the_time_a_429_named():
    async with a_crm(status=429, retry_after="42") as (crm, server):
        for _ in range(42):
            with pytest.raises(RateLimited) as caught:
                await crm.find(an_id(), None)
            await asyncio.sleep(1)
        asked = server.counts.total()
        server.status = 200
        await crm.find(an_id(), None)

    assert asked == 1
    assert caught.value.retry_after == pytest.approx(1, abs=0.1)
    assert server.counts.total() == 2


@pytest.mark.parametrize("token", ["s3cret", lambda: "s3cret"])
async def test_the_token_is_sent(token):
    async with a_crm(by_phone={PHONE: GOLD}, token=token) as (crm, server):
        server.token = "s3cret"

        assert (await crm.find(an_id(), PHONE)).value == GOLD


async def test_a_token_that_was_rotated_is_sent_with_the_next_question():
    token = ["old"]
    async with a_crm(by_phone={PHONE: GOLD}, token=lambda: token[0]) as (crm, server):
        server.token = "new"
        with pytest.raises(Unauthorized):
            await crm.find(an_id(), PHONE)
        token[0] = "new"

        assert (await crm.find(an_id(), PHONE)).value == GOLD


@pytest.mark.parametrize("hostile", ["http://169.254.169.254/", "//evil", "x@evil", "a&phone=b"])
async def test_what_an_event_says_stays_within_its_parameter(hostile):
    assert path_of("https://crm.test/c", phone=hostile).startswith("/c?phone=")
    async with a_crm() as (crm, server):
        with pytest.raises(Rejected):
            await crm.find(an_id(), hostile)

        assert server.counts == {400: 1}


async def test_the_endpoint_keeps_its_own_path_and_query():
    assert path_of("https://crm.test/find/?tenant=7", phone="+1", x=None) == (
        "/find/?tenant=7&phone=%2B1"
    )
    assert path_of("https://crm.test") == "/"
    assert path_of("https://crm.test//a%2F/%2e%2e/?x=%27'") == "//a%2F/%2e%2e/?x=%27'"


async def test_credentials_in_the_url_are_refused():
    with pytest.raises(ConfigurationError):
        origin_of("CRM_API_ENDPOINT", "https://user:pw@crm.test/")


async def test_plain_http_is_refused_unless_the_host_is_this_machine():
    with pytest.raises(ConfigurationError):
        HttpClient("crm", origin_of("crm", "http://crm.test/find"), HttpLimits(total_seconds=1))


def a_reply(body, content_type="application/json"):
    return Reply(
        status=200, headers={"content-type": content_type}, body=body, received_at=datetime.now(UTC)
    )


@pytest.mark.parametrize(
    ("reply", "record"),
    [
        (a_reply(b""), None),
        (a_reply(b" \r\n"), None),
        (a_reply(b"\xef\xbb\xbf" + b'{"tier":"gold"}'), GOLD),
        (
            a_reply('{"name":"Jos\u00e9"}'.encode("latin-1"), "application/json; charset=latin-1"),
            JOSE,
        ),
        (
            a_reply('{"name":"Jos\u00e9"}'.encode("cp1252"), 'text/json;charset="windows-1252"'),
            JOSE,
        ),
        (a_reply('{"name":"Jos\u00e9"}'.encode(), "application/json; charset=iso-8859-1"), JOSE),
        (a_reply('{"name":"Jos\u00e9"}'.encode("utf-16")), JOSE),
        (a_reply(b'{"tier":"gold","x":NaN,"y":-Infinity,"z":1e999}'), GOLD | dict.fromkeys("xyz")),
        (a_reply(b'{"tier":"gold","x":1234567890123456789,"y":NaN}'), GOLD | BIG),
        (a_reply(b'{"tier":"gold","x":1' + b"0" * 400 + b"}"), GOLD | {"x": None}),
        (a_reply(b'{"tier":"gold","x":-9' + b"0" * 5000 + b"}"), GOLD | {"x": None}),
        (a_reply(b'{"tier":"gold","x":"\\ud83d"}'), GOLD | {"x": "?"}),
        (a_reply(b'{"tier":"gold","\\ud83d":1}'), GOLD | {"?": 1}),
    ],
)
async def test_a_reply_is_read_as_clients_in_the_field_read_it(reply, record):
    assert record_of(reply) == record


@pytest.mark.parametrize(
    "reply",
    [
        a_reply(b"<html>", "text/html"),
        a_reply(b'{"a":'),
        a_reply(b"[1]"),
        a_reply(b'"canary"'),
        a_reply(b'{"a":"canary\xff"}'),
        a_reply(b'{"a":"canary\xff"}', "application/json; charset=no-such"),
        a_reply(b'{"a":"canary\xff"}', "application/json; charset=hex"),
        a_reply(b'{"a":"canary\xff"}', "application/json; charset=punycode"),
        a_reply(b"[" * 5000),
        a_reply(b'{"a":NaN,"b":"' + b"x" * 2**20 + b'"}'),
    ],
    ids=range(10),
)
async def test_a_reply_that_cannot_be_read_is_a_fault_of_this_request(reply):
    with pytest.raises(Unreadable) as caught:
        record_of(reply)

    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
