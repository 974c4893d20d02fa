"""What can be done without an upstream is done while its breaker is open; what settings decide."""

from datetime import UTC, datetime

import pytest

from tests.support.factories import (
    a_reference_body,
    a_voice_scored,
    an_attributes_wanted,
    an_origin,
)
from worker.demo.environment import FLOW_ID
from worker.emulators.genesys.conversations import a_flow

OPEN = {"BREAKER_MIN_CALLS": 2, "BREAKER_OPEN_SECONDS": 3600, "BREAKER_MAX_OPEN_SECONDS": 3600}
KNOWN, OTHER = "+15550100001", "+15550100002"


async def test_scores_are_written_degraded_while_the_data_action_is_down(
    emulators, start_worker, records, settled
):
    for _ in range(20):
        emulators.sqs.send(emulators.queue_url, a_reference_body(a_voice_scored()).decode())
    emulators.genesys.fail_with("data_action", 503)

    settings = {"HANDLERS": "voice", "SQS_CONCURRENCY": 4, "VOICE_DEGRADE_AFTER_SECONDS": 1}
    async with start_worker(**settings, **OPEN):
        await settled()

    assert [item["enrichmentStatus"]["S"] for item in await records()] == ["degraded"] * 20
    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0


async def test_a_remembered_customer_is_injected_while_the_crm_is_down(
    emulators, start_worker, settled, eventually
):
    emulators.genesys.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string"})
    emulators.crm.by_phone[KNOWN] = {"tier": "gold"}

    async with start_worker(
        HANDLERS="attributes", CRM_CACHE_BY="phone", CACHE_SOFT_TTL_SECONDS=0.1, **OPEN
    ) as worker:
        begin(emulators, KNOWN)
        await settled()
        emulators.crm.status = 503
        for number in range(4):
            begin(emulators, f"+1555010100{number}")
        await eventually(lambda: is_open(worker, "crm"))
        again = begin(emulators, KNOWN)

        await eventually(lambda: injected(again))


@pytest.mark.parametrize("enabled", ["true", "false"])
async def test_the_daemon_keeps_asking_a_crm_that_is_down_only_without_breakers(
    emulators, start_worker, eventually, enabled
):
    emulators.genesys.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string"})
    emulators.crm.status = 503
    for number in range(6):
        begin(emulators, f"+1555010100{number}")

    async with start_worker(
        HANDLERS="attributes", BREAKER_ENABLED=enabled, CRM_ATTEMPTS=1, SQS_CONCURRENCY=1, **OPEN
    ) as worker:
        if enabled == "true":
            await eventually(lambda: is_open(worker, "crm"))
        else:
            await emulators.sqs.wait_until(lambda: asked(emulators) > 5, 30)

    assert (asked(emulators) > 5) is (enabled == "false")


@pytest.mark.parametrize(("size", "questions"), [(1, 3), (7, 2)])
async def test_the_daemon_remembers_as_many_customers_as_the_settings_say(
    emulators, start_worker, settled, size, questions
):
    emulators.genesys.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string"})
    emulators.crm.by_phone[KNOWN] = emulators.crm.by_phone[OTHER] = {"tier": "gold"}

    async with start_worker(HANDLERS="attributes", CRM_CACHE_BY="phone", CACHE_MAX_ENTRIES=size):
        for phone in (KNOWN, OTHER, KNOWN):
            begin(emulators, phone)
            await settled()

    assert asked(emulators) == questions


def begin(emulators, phone):
    """Begin a conversation with this caller; return its customer's participant."""
    origin = an_origin(detail_type="conversation.start", occurred_at=datetime.now(UTC))
    event = an_attributes_wanted(origin=origin, phone_number=phone)
    customer = {"id": event.participant_id, "purpose": "customer", "address": f"tel:{phone}"}
    live = {"id": event.conversation_id, "participants": [customer]}
    emulators.genesys.conversations[event.conversation_id] = live
    emulators.sqs.send(emulators.queue_url, a_reference_body(event).decode())
    return customer


async def is_open(worker, upstream):
    state = f'worker_breaker_state{{dependency="{upstream}"}} 2.0'
    return state in await worker.page("/metrics")


async def injected(customer):
    return customer.get("attributes") == {"tier": "gold"}


def asked(emulators):
    return sum(emulators.crm.counts.values())
