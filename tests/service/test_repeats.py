"""One event, many messages: each effect once where a key allows it, the same bytes where not."""

import json

import pytest

from tests.service.conftest import CONVERSATION, sample
from worker.demo.environment import LEDGER_TABLE, STATE_MACHINE_ARN, put_events

CHAT_END = sample("events/platform/customer_end_message.json")
START = sample("events/platform/customer_start.json")


def under_a_new_id(body):
    return json.dumps(json.loads(body) | {"id": "99999999-0000-4000-8000-000000000009"})


@pytest.fixture
def send_four_times_over_two_lives(emulators, start_worker, settled):
    """Send an event three times, and once under a new envelope id to a second process.

    The second process has no memory of the first: what keeps its effects from doubling is
    their ids alone.
    """

    async def send(body, **settings):
        async with start_worker("first", **settings):
            for _ in range(3):
                emulators.sqs.send(emulators.queue_url, body)
            await settled()
        async with start_worker("second", **settings):
            emulators.sqs.send(emulators.queue_url, under_a_new_id(body))
            await settled()

    return send


async def test_a_conversation_end_starts_one_execution(
    emulators, severe_chat, send_four_times_over_two_lives
):
    await send_four_times_over_two_lives(CHAT_END)

    async with emulators.aws("stepfunctions") as workflows:
        found = await workflows.list_executions(stateMachineArn=STATE_MACHINE_ARN)
    [execution] = found["executions"]
    assert execution["name"].startswith(f"enrich_{CONVERSATION}_")


async def test_a_chat_is_forwarded_under_one_id_in_the_same_bytes(
    emulators, severe_chat, send_four_times_over_two_lives
):
    await send_four_times_over_two_lives(CHAT_END)

    events = await put_events(emulators, "genesys.sentiment.forwarder")
    analyses = [e["detail"] for e in events if e["detail-type"] == "ChatSentimentAnalysis"]
    hooks = emulators.sinks["crm"].taken
    alerts = emulators.sinks["alert"].taken
    assert len(analyses) == len(hooks) == len(alerts) == 2  # once a life: neither sink has keys
    assert analyses[0] == analyses[1]
    assert len({one.raw for one in hooks}) == len({one.id for one in hooks}) == 1
    assert len({one.raw for one in alerts}) == len({one.id for one in alerts}) == 1
    forwarding = {detail["forwardingId"] for detail in analyses}
    assert forwarding == {one.body["data"]["forwardingId"] for one in hooks}
    assert all(one.signed for one in hooks)


async def test_attributes_are_announced_under_one_id_in_the_same_bytes(
    emulators, severe_chat, flow_and_customer, send_four_times_over_two_lives
):
    await send_four_times_over_two_lives(START)

    [customer] = emulators.genesys.conversations[CONVERSATION]["participants"]
    hooks = emulators.sinks["analytics"].taken
    assert customer["attributes"] == {"tier": "gold"}
    assert len({one.raw for one in hooks}) == len({one.id for one in hooks}) == 1
    assert hooks[0].headers["x-trace-id"] == hooks[0].body["traceId"]


async def test_with_an_idempotency_table_a_chat_is_forwarded_once_even_over_two_lives(
    emulators, severe_chat, send_four_times_over_two_lives
):
    await send_four_times_over_two_lives(CHAT_END, LEDGER_TABLE=LEDGER_TABLE)

    events = await put_events(emulators, "genesys.sentiment.forwarder")
    assert sorted(event["detail-type"] for event in events) == [
        "ChatSentimentAnalysis",
        "ChatSentimentEscalation",
    ]
    assert len(emulators.sinks["crm"].taken) == len(emulators.sinks["alert"].taken) == 1
