"""A delivery is signed, byte-equal on every repeat, and goes to no other address."""

import asyncio
import hashlib
import hmac
from base64 import b64encode
from contextlib import asynccontextmanager
from random import Random

import pytest

from worker.clients.http import HttpClient
from worker.clients.http_types import origin_of
from worker.clients.webhooks import WEBHOOK_LIMITS, Signer, Webhook
from worker.emulators import WebhookSink
from worker.errors import ConfigurationError, RateLimited, Rejected, Unauthorized, Unavailable
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{b64encode(KEY).decode()}"
NOTE = {"b": 1, "a": {"d": "ü", "c": None}}


def a_guard(attempts):
    policy = GuardPolicy(RetryPolicy(attempts=attempts, base_seconds=1, cap_seconds=1), 60)
    clock = asyncio.get_running_loop().time
    breaker = Breaker("hook", BreakerPolicy(), clock=clock, random=Random(1))
    return Guard(policy, breaker=breaker, random=Random(1))


@asynccontextmanager
async def a_hook(secret=None, sink=None, attempts=1):
    async with (
        sink or WebhookSink() as served,
        HttpClient("hook", origin_of("hook", served.url), WEBHOOK_LIMITS) as http,
    ):
        yield Webhook("hook", served.url, secret, a_guard(attempts), http), served


def signature_of(key, delivery):
    content = b".".join(
        [delivery.id.encode(), delivery.headers["webhook-timestamp"].encode(), delivery.raw]
    )
    return f"v1,{b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"


async def test_a_delivery_has_a_canonical_body_and_its_headers():
    async with a_hook() as (hook, sink):
        await hook.post(NOTE, delivery_id="d-1", headers={"X-Trace-ID": "t-1"})

    (delivery,) = sink.deliveries
    assert delivery.raw == '{"a":{"c":null,"d":"ü"},"b":1}'.encode()
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["x-trace-id"] == "t-1"
    assert delivery.id == "d-1"


async def test_without_a_secret_nothing_is_signed():
    async with a_hook() as (hook, sink):
        await hook.post(NOTE, delivery_id="d-1")

    assert "webhook-signature" not in sink.deliveries[0].headers


@pytest.mark.parametrize(("secret", "key"), [(SECRET, KEY), ("plain", b"plain")])
async def test_the_signature_is_the_hmac_of_id_timestamp_and_body(secret, key):
    async with a_hook(secret) as (hook, sink):
        await hook.post(NOTE, delivery_id="d-1")

    (delivery,) = sink.deliveries
    assert delivery.headers["webhook-signature"] == signature_of(key, delivery)
    assert delivery.headers["webhook-timestamp"].isdigit()


async def test_a_secret_that_is_rotated_signs_the_next_delivery():
    secrets = ["first", "first", "second", "whsec_no base64"]
    async with a_hook(lambda: secrets.pop(0)) as (hook, sink):
        for number in range(3):
            await hook.post(NOTE, delivery_id=f"d-{number}")

    first, second, third = sink.deliveries
    assert first.headers["webhook-signature"] == signature_of(b"first", first)
    assert second.headers["webhook-signature"] == signature_of(b"second", second)
    assert third.headers["webhook-signature"] == signature_of(b"second", third)


async def test_the_signature_is_that_of_the_example_of_the_standard():
    # Test vector of github.com/standard-webhooks/standard-webhooks, libraries/python.
    signer = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_while_secrets_rotate_each_of_them_signs():
    async with a_hook(f"{SECRET} next") as (hook, sink):
        await hook.post(NOTE, delivery_id="d-1")

    (delivery,) = sink.deliveries
    assert delivery.headers["webhook-signature"].split() == [
        signature_of(KEY, delivery),
        signature_of(b"next", delivery),
    ]


async def test_a_receiver_takes_what_is_signed_with_its_secret():
    async with a_hook(SECRET, WebhookSink(SECRET)) as (hook, sink):
        await hook.post(NOTE, delivery_id="d-1")

    assert sink.deliveries[0].signed


async def test_a_receiver_that_refuses_the_signature_blames_no_message():
    async with a_hook("another", WebhookSink(SECRET)) as (hook, _sink):
        with pytest.raises(Unauthorized):
            await hook.post(NOTE, delivery_id="d-1")


async def test_a_repeat_has_the_same_id_and_the_same_bytes():
    async with a_hook(attempts=2) as (hook, sink):
        sink.status = 503
        with pytest.raises(Unavailable):
            await hook.post(NOTE, delivery_id="d-1")

    first, second = sink.deliveries
    assert (first.id, first.raw) == (second.id, second.raw)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status):
    async with WebhookSink() as elsewhere, a_hook() as (hook, sink):
        sink.status, sink.location = status, elsewhere.url

        with pytest.raises(Unavailable):
            await hook.post(NOTE, delivery_id="d-1")

    assert elsewhere.deliveries == []


@pytest.mark.parametrize("status", [400, 404, 410, 413, 422])
async def test_a_body_the_receiver_refuses_is_rejected(status):
    async with a_hook() as (hook, sink):
        sink.status = status

        with pytest.raises(Rejected) as caught:
            await hook.post(NOTE, delivery_id="d-1")

    assert caught.value.status == status
    assert str(caught.value) == f"hook: {status}"


async def test_the_wait_a_busy_receiver_asks_for_is_passed_on():
    async with a_hook() as (hook, sink):
        sink.status, sink.retry_after = 429, "120"

        with pytest.raises(RateLimited) as caught:
            await hook.post(NOTE, delivery_id="d-1")

    assert caught.value.retry_after == 120


async def test_a_410_refuses_its_own_delivery_and_no_other():
    async with a_hook() as (hook, sink):
        sink.status = 410
        with pytest.raises(Rejected) as caught:
            await hook.post(NOTE, delivery_id="d-1")
        sink.status = 204
        await hook.post(NOTE, delivery_id="d-2")

    assert caught.value.reason == "hook: 410"
    assert [delivery.id for delivery in sink.deliveries] == ["d-1", "d-2"]


async def test_a_receiver_that_says_nothing_is_given_up_after_fifteen_seconds():
    async with a_hook() as (hook, sink):
        sink.latency_seconds = 3600
        started = asyncio.get_running_loop().time()

        with pytest.raises(Unavailable):
            await hook.post(NOTE, delivery_id="d-1")

        assert asyncio.get_running_loop().time() - started == pytest.approx(15, abs=0.5)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_%%%", " "])
async def test_a_secret_that_is_none_is_reported_at_the_start(secret):
    with pytest.raises(ConfigurationError) as caught:
        async with a_hook(secret):
            pass

    assert secret.strip() in {"", "whsec_"} or secret not in str(caught.value)
