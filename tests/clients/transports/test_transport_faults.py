"""Whatever SQS does wrong is the same failure of a call, by each transport, and ends with it."""

import pytest

from tests.support.aws_stub import a_client
from worker.clients.aws.errors import QueueError, ask
from worker.emulators.sqs.control import (
    ACCESS_DENIED,
    HTTP_500,
    HTTP_503,
    THROTTLED,
    Deny,
    Drip,
    Reset,
    Say,
    Silence,
    Slow,
    When,
)

READ_SECONDS = 0.3
TOTAL_SECONDS = 0.6

FAILURES = [
    (HTTP_500, "InternalError"),
    (HTTP_503, "ServiceUnavailable"),
    (THROTTLED, "RequestThrottled"),
    (ACCESS_DENIED, "AccessDenied"),
    (Deny(), "AccessDenied"),
    (Reset(), "EndpointConnectionError"),
    (Reset(after_effect=True), "EndpointConnectionError"),
    (Silence(), "ReadTimeoutError"),
    (Silence(after_effect=True), "ReadTimeoutError"),
    (Drip(0.02), "ReadTimeoutError"),
    (Drip(0.02, head=True), "ReadTimeoutError"),
    (Slow(2 * TOTAL_SECONDS), "ReadTimeoutError"),
]


@pytest.mark.parametrize(("fault", "code"), FAILURES, ids=lambda value: repr(value)[:40])
async def test_a_fault_is_the_failure_of_its_call_alone(sqs, open_client, fault, code):
    url = sqs.create_queue("q")
    sqs.send(url, "x" * 300)
    sqs.faults.add("ReceiveMessage", fault, When(last=1))
    async with open_client(read_seconds=READ_SECONDS, total_seconds=TOTAL_SECONDS) as client:
        with pytest.raises(QueueError) as caught:
            await ask(client.receive_message, QueueUrl=url)
        answer = await ask(client.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])

    assert caught.value.code == code
    assert answer["Attributes"]["QueueArn"].endswith(":q")


@pytest.mark.parametrize("body", ["[]", '"x"', "<html>", "{", '{"Messages":[', "\xff"])
async def test_a_success_that_is_no_object_costs_no_call_after_it(sqs, wire, body):
    url = sqs.create_queue("q")
    sqs.faults.add("ReceiveMessage", Say(body), When(last=1))
    async with a_client(wire) as client:
        with pytest.raises(QueueError, match="HTTPClientError"):
            await ask(client.receive_message, QueueUrl=url)
        answer = await ask(client.receive_message, QueueUrl=url)

    assert "Messages" not in answer
