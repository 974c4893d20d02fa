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

READ_SECONDS = 1.0
"""For a call that is to time out; on a busy machine nothing may run for half a second."""

TOTAL_SECONDS = 2.0
LATE = "ReadTimeoutError"

FAILURES = [
    (HTTP_500, "InternalError"),
    (HTTP_503, "ServiceUnavailable"),
    (THROTTLED, "RequestThrottled"),
    (ACCESS_DENIED, "AccessDenied"),
    (Deny(), "AccessDenied"),
    (Reset(), "EndpointConnectionError"),
    (Reset(after_effect=True), "EndpointConnectionError"),
    (Silence(), LATE),
    (Silence(after_effect=True), LATE),
    (Drip(0.02), LATE),
    (Drip(0.02, head=True), LATE),
    (Slow(2 * TOTAL_SECONDS), LATE),
]


@pytest.mark.parametrize(("fault", "code"), FAILURES, ids=lambda value: repr(value)[:40])
async def test_a_fault_is_the_failure_of_its_call_alone(sqs, open_client, fault, code):
    url = sqs.create_queue("q")
    sqs.send(url, "x" * 300)
    sqs.faults.add("ReceiveMessage", fault, When(last=1))
    limits = {"read_seconds": READ_SECONDS, "total_seconds": TOTAL_SECONDS} if code == LATE else {}
    async with open_client(**limits) as client:
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
