"""Flow inputs and attributes in both dialects, against the emulator."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from tests.support.factories import OneForAll, an_id
from tests.support.genesys import dialect_by
from worker.clients.genesys.api import Api, Tokens
from worker.clients.genesys.participants import (
    Attributes,
    Kind,
    Participant,
    PlatformAttributes,
    ReferenceAttributes,
    Schema,
    flow_cache,
)
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.replies import error_body
from worker.errors import Misconfigured, NotYet, Rejected, Transient, Unavailable
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.cache import Cache
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

FLOW, CONVERSATION, CUSTOMER, AGENT = an_id(), an_id(), an_id(), an_id()
INPUTS = {"tier": "string", "ltv": "number", "vip": "boolean", "renewal": "date"}
DIALECTS = [PlatformAttributes(), ReferenceAttributes()]


def a_guard():
    policy = GuardPolicy(RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1), 10)
    clock = asyncio.get_running_loop().time
    breaker = Breaker("genesys", BreakerPolicy(), clock=clock, random=Random(1))
    return Guard(policy, breaker=breaker, random=Random(1))


@asynccontextmanager
async def attributes_of(dialect, text=None):
    """The verbs, and the cloud with one flow and one live conversation; `text`: of the token."""
    async with (
        GenesysServer() as cloud,
        HttpClient("genesys", cloud.url, HttpLimits(total_seconds=10)) as http,
    ):
        tokens = Tokens(http, dialect_by(text).token(cloud.client_id, cloud.client_secret))
        flows: Cache[str, Schema] = Cache("flows", flow_cache(16), random=Random(1))
        cloud.flows[FLOW] = a_flow(FLOW, INPUTS)
        cloud.conversations[CONVERSATION] = {
            "id": CONVERSATION,
            "participants": [
                {"id": AGENT, "purpose": "agent", "startTime": "2026-03-02T10:00:00.000Z"},
                {"id": CUSTOMER, "purpose": "customer", "attributes": {"old": "1"}},
            ],
        }
        try:
            yield Attributes(Api(http, tokens, OneForAll(a_guard())), dialect, flows), cloud
        finally:
            await tokens.aclose()


def customer_of(cloud):
    return cloud.conversations[CONVERSATION]["participants"][1]["attributes"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_inputs_of_a_flow_are_known(dialect):
    async with attributes_of(dialect) as (attributes, _):
        assert await attributes.flow_inputs(FLOW) == {
            "tier": Kind.STRING,
            "ltv": Kind.NUMBER,
            "vip": Kind.BOOLEAN,
            "renewal": Kind.DATE,
        }


async def test_the_inputs_of_a_flow_are_asked_for_once():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        await asyncio.gather(*(attributes.flow_inputs(FLOW) for _ in range(20)))
        await attributes.flow_inputs(FLOW)

        assert cloud.counts["flow"] == 1


async def test_the_inputs_of_a_flow_outlive_an_outage():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        await attributes.flow_inputs(FLOW)
        cloud.fail_with("flow", 503)
        await asyncio.sleep(3600)

        assert "tier" in await attributes.flow_inputs(FLOW)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("answer", [404, 410])
async def test_a_missing_flow_dead_letters_no_message_and_is_asked_for_once_a_minute(
    dialect, answer
):
    async with attributes_of(dialect) as (attributes, cloud):
        cloud.fail_with("flow", answer)
        for _ in range(5):
            with pytest.raises(Transient) as caught:
                await attributes.flow_inputs(FLOW)

        assert not isinstance(caught.value, Unavailable)
        assert caught.value.retry_after == 60
        assert cloud.counts["flow"] == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_permission_to_see_flows_that_is_missing_dead_letters_nothing(dialect):
    async def forbidden(_):
        return error_body(403, "missing.any.permissions")

    async with attributes_of(dialect) as (attributes, cloud):
        cloud.fail_with("flow", forbidden)

        with pytest.raises(Misconfigured):
            await attributes.flow_inputs(FLOW)


async def test_a_flow_without_a_published_version_is_a_missing_one():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        del cloud.flows[FLOW]["publishedVersion"]

        with pytest.raises(Misconfigured, match="no published flow"):
            await attributes.flow_inputs(FLOW)


@pytest.mark.parametrize("version", [None, {"id": "1.0"}])
async def test_the_inputs_of_a_flow_serve_where_its_version_has_none(version):
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        flow = cloud.flows[FLOW]
        flow["inputSchema"] = flow["publishedVersion"]["inputSchema"]
        flow["publishedVersion"] = version

        assert "tier" in await attributes.flow_inputs(FLOW)


async def test_the_published_inputs_come_before_those_of_the_flow():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        cloud.flows[FLOW]["inputSchema"] = {"properties": {"Flow.draft": {"type": "string"}}}

        assert "draft" not in await attributes.flow_inputs(FLOW)


async def test_an_inbound_call_flow_is_said_to_declare_no_inputs():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        cloud.flows[FLOW] |= {"type": "INBOUNDCALL", "publishedVersion": {"id": "1.0"}}

        with pytest.raises(Misconfigured, match=r"declares no inputs .*INBOUNDCALL") as caught:
            await attributes.flow_inputs(FLOW)

    assert (caught.value.setting, caught.value.retry_after) == ("GENESYS_FLOW_ID", 60)


@pytest.mark.parametrize("inputs", [{}, {"type": "object", "properties": {}}])
async def test_a_workflow_whose_variables_are_no_inputs_is_said_to_declare_none(inputs):
    """Every event would be skipped, and none would say why."""
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        cloud.flows[FLOW]["publishedVersion"]["inputSchema"] = inputs

        with pytest.raises(Misconfigured, match="declares no inputs"):
            await attributes.flow_inputs(FLOW)


async def test_a_named_participant_is_believed_without_a_request():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        assert await attributes.customer(CONVERSATION, AGENT) == Participant(AGENT)
        assert cloud.counts.total() == 0


async def test_the_customer_and_what_it_has_are_found_in_the_live_conversation():
    async with attributes_of(PlatformAttributes()) as (attributes, _):
        found = await attributes.customer(CONVERSATION, None)

    assert found == Participant(CUSTOMER, {"old": "1"})


async def test_the_reference_dialect_needs_no_participant():
    async with attributes_of(ReferenceAttributes()) as (attributes, cloud):
        await attributes.customer(CONVERSATION, None)

        assert cloud.counts.total() == 0


@pytest.mark.parametrize("participants", [None, [], [None], [{"purpose": "customer"}], "x"])
async def test_a_conversation_without_a_customer_may_get_one(participants):
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        cloud.conversations[CONVERSATION]["participants"] = participants

        with pytest.raises(NotYet):
            await attributes.customer(CONVERSATION, None)


async def test_the_platform_keeps_attributes_with_the_participant():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        await attributes.set_attributes(CONVERSATION, Participant(CUSTOMER), {"tier": "gold"})

        assert customer_of(cloud) == {"old": "1", "tier": "gold"}


async def test_the_reference_api_keeps_attributes_with_the_conversation():
    async with attributes_of(ReferenceAttributes()) as (attributes, cloud):
        await attributes.set_attributes(CONVERSATION, Participant(""), {"tier": "gold"})

        assert cloud.conversations[CONVERSATION]["attributes"] == {"tier": "gold"}


async def test_what_is_about_the_conversation_goes_to_its_customer_on_the_platform():
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        await attributes.set_conversation_attributes(CONVERSATION, {"forwardingStatus": "queued"})

        assert customer_of(cloud)["forwardingStatus"] == "queued"


async def test_what_is_about_the_conversation_is_kept_with_it_in_the_reference_dialect():
    async with attributes_of(ReferenceAttributes(), "r3") as (attributes, cloud):
        await attributes.set_conversation_attributes(CONVERSATION, {"forwardingStatus": "queued"})

        assert cloud.conversations[CONVERSATION]["attributes"] == {"forwardingStatus": "queued"}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [400, 403, 404, 409])
async def test_a_refused_write_says_how_it_was_refused(dialect, status):
    async with attributes_of(dialect) as (attributes, cloud):
        cloud.fail_with("attributes", status)

        with pytest.raises(Rejected) as caught:
            await attributes.set_conversation_attributes(CONVERSATION, {"a": "1"})

    assert caught.value.status == status


@pytest.mark.parametrize(
    "body", [{}, {"attributes": {}}, {"attributes": {"a": 1}}, {"attributes": {"a": None}}]
)
async def test_the_emulator_takes_strings_only(body):
    async with attributes_of(PlatformAttributes()) as (attributes, cloud):
        with pytest.raises(Rejected) as caught:
            await attributes.set_attributes(
                CONVERSATION, Participant(CUSTOMER), body.get("attributes", {})
            )

        assert caught.value.status == 400
        assert customer_of(cloud) == {"old": "1"}
