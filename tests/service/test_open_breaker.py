"""What can be done without an upstream is done while its breaker is open."""

from datetime import UTC, datetime

from tests.support.factories import (
    a_reference_body,
    a_voice_scored,
    an_attributes_wanted,
    an_origin,
)
from worker.demo.environment import FLOW_ID
from worker.emulators.genesys.conversations import a_flow

OPEN = {"BREAKER_MIN_CALLS": 2, "BREAKER_OPEN_SECONDS": 3600, "BREAKER_MAX_OPEN_SECONDS": 3600}
KNOWN = "+15550100001"


async def test_scores_are_written_degraded_while_the_data_action_is_down(
    stage, start_worker, records, settled
):
    for _ in range(20):
        stage.sqs.send(stage.queue_url, a_reference_body(a_voice_scored()).decode())
    stage.genesys.fail_with("data_action", 503)

    settings = {"HANDLERS": "voice", "SQS_CONCURRENCY": 4, "VOICE_DEGRADE_AFTER_SECONDS": 1}
    async with start_worker(**settings, **OPEN):
        await settled()

    assert [item["enrichmentStatus"]["S"] for item in await records()] == ["degraded"] * 20
    assert sum(stage.sqs.depth(stage.dead_letter_url)) == 0


async def test_a_remembered_customer_is_injected_while_the_crm_is_down(
    stage, start_worker, settled, eventually
):
    stage.genesys.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string"})
    stage.crm.by_phone[KNOWN] = {"tier": "gold"}

    async with start_worker(
        HANDLERS="attributes", CRM_CACHE_BY="phone", CACHE_SOFT_TTL_SECONDS=0.1, **OPEN
    ) as worker:
        begin(stage, KNOWN)
        await settled()
        stage.crm.status = 503
        for number in range(4):
            begin(stage, f"+1555010100{number}")
        await eventually(lambda: is_open(worker, "crm"))
        again = begin(stage, KNOWN)

        await eventually(lambda: injected(again))


def begin(stage, phone):
    """Begin a conversation with this caller; return its customer's participant."""
    origin = an_origin(detail_type="conversation.start", occurred_at=datetime.now(UTC))
    event = an_attributes_wanted(origin=origin, phone_number=phone)
    customer = {"id": event.participant_id, "purpose": "customer", "address": f"tel:{phone}"}
    live = {"id": event.conversation_id, "participants": [customer]}
    stage.genesys.conversations[event.conversation_id] = live
    stage.sqs.send(stage.queue_url, a_reference_body(event).decode())
    return customer


async def is_open(worker, upstream):
    state = f'worker_breaker_state{{dependency="{upstream}"}} 2.0'
    return state in await worker.page("/metrics")


async def injected(customer):
    return customer.get("attributes") == {"tier": "gold"}
