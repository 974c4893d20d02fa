"""Requests to sinks, read as effects."""

import json

import pytest
from aiobotocore.session import get_session

from tests.chaos.effects import Effect, Request, effects_of
from tests.chaos.wiretap import Wiretap
from tests.support.factories import an_id
from worker.demo.environment import TABLE

CONVERSATION = an_id()


def aws(target, **body):
    headers = {"x-amz-target": f"Service_1.{target}"}
    return Request("aws", "POST", "/", headers, json.dumps(body).encode())


def of(request):
    return effects_of(request, 7.0)


def test_a_put_item_is_a_record_under_its_two_keys():
    item = {"conversationId": {"S": CONVERSATION}, "eventTimestamp": {"S": "then"}}

    assert of(aws("PutItem", TableName=TABLE, Item=item)) == [
        Effect(7.0, "records", CONVERSATION, "then")
    ]


def test_a_put_item_to_the_idempotency_table_is_no_effect():
    assert of(aws("PutItem", TableName="idempotency", Item={"id": {"S": "x"}})) == []


def test_a_start_is_an_execution_under_its_name():
    handed = json.dumps({"conversationId": CONVERSATION})

    assert of(aws("StartExecution", name="enrich_1", input=handed)) == [
        Effect(7.0, "executions", CONVERSATION, "enrich_1")
    ]


def test_each_entry_of_put_events_is_an_effect_of_its_type():
    detail = json.dumps({"conversationId": CONVERSATION, "forwardingId": "f"})
    entries = [{"DetailType": kind, "Detail": detail} for kind in ("A", "B")]

    assert of(aws("PutEvents", Entries=entries)) == [
        Effect(7.0, "bus A", CONVERSATION, "f"),
        Effect(7.0, "bus B", CONVERSATION, "f"),
    ]


@pytest.mark.parametrize(("method", "found"), [("PATCH", 1), ("GET", 0)])
def test_only_a_write_to_a_conversation_is_an_effect(method, found):
    path = f"/api/v2/conversations/{CONVERSATION}/participants/p/attributes"

    assert len(of(Request("genesys", method, path, {}, b""))) == found


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_webhook_is_an_effect_under_its_delivery_id(wrapped):
    inner = {"conversationId": CONVERSATION}
    body = json.dumps({"data": inner} if wrapped else inner).encode()

    assert of(Request("crm", "POST", "/hook", {"webhook-id": "w"}, body)) == [
        Effect(7.0, "crm webhook", CONVERSATION, "w")
    ]


def test_a_query_is_no_effect():
    assert of(aws("Query", TableName=TABLE)) == []


WAITING = json.dumps(
    {"StartAt": "wait", "States": {"wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
)


async def test_a_start_that_is_answered_by_the_running_execution_is_no_second_effect(moto):
    wiretap, handed = Wiretap(), json.dumps({"conversationId": CONVERSATION})

    async with wiretap.on("aws", moto) as url, _step_functions(url) as client:
        role = "arn:aws:iam::123456789012:role/r"
        made = await client.create_state_machine(name="waits", definition=WAITING, roleArn=role)
        for _ in range(2):
            await client.start_execution(
                stateMachineArn=made["stateMachineArn"], name="enrich_1", input=handed
            )

    assert [(one.sink, one.key) for one in wiretap.effects] == [("executions", "enrich_1")]


def _step_functions(url):
    return get_session().create_client("stepfunctions", endpoint_url=url)
