"""Whole calls of SQS, of either transport: an answer, or the one error that callers know."""

import asyncio
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.support.aws_stub import Say, refusal
from worker.clients.aws.errors import EntryFailed, QueueError, ask
from worker.clients.aws.sqs import batch_results, messages_of

DENIAL = (
    "User: arn:aws:sts::123456789012:assumed-role/worker/i-0 is not authorized to perform: {} on "
    "resource: arn:aws:sqs:us-east-1:123456789012:q because no identity-based policy allows it"
)


@pytest.fixture
async def asked(stub, open_client):
    async with open_client(read_seconds=1) as client:
        yield client


@pytest.mark.parametrize(
    ("named", "action"),
    [
        ("sqs:deletemessage", "sqs:DeleteMessage"),
        ("sqs:DeleteMessage", "sqs:DeleteMessage"),
        ("kms:Decrypt", "kms:Decrypt"),
        ("<script>", "sqs:DeleteMessage"),
    ],
)
async def test_a_denied_call_names_the_action_that_is_missing(asked, stub, named, action):
    stub.replies = [refusal("AccessDeniedException", 403, message=DENIAL.format(named))]

    with pytest.raises(QueueError) as caught:
        await ask(asked.delete_message_batch, QueueUrl="q", Entries=[])

    error = caught.value
    assert (error.action, error.denied, error.broken, error.missing) == (action, True, True, False)
    assert str(error) == f"delete_message_batch failed: AccessDeniedException ({action})"
    assert EntryFailed.with_its_call(error).action == action
    assert EntryFailed.with_its_call(error).denied
    assert "123456789012" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"


async def test_a_queue_that_there_is_not_is_missing_and_not_denied(asked, stub):
    code = {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"}
    stub.replies = [Say(400, b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}', code)]

    with pytest.raises(QueueError) as caught:
        await ask(asked.receive_message, QueueUrl="q")

    assert (caught.value.denied, caught.value.missing, caught.value.broken) == (False, True, True)


ODD_BODIES = [
    b'{"Successful":[{}]}',
    b'{"Successful":null}',
    b'{"Successful":[1]}',
    b'{"Successful":{"a":1}}',
    b'{"Successful":"x"}',
    b'{"Failed":[{"Id":[]}]}',
    b'{"Messages":[1]}',
    b'{"Messages":{"a":"b"}}',
    b'{"Messages":[{"MessageAttributes":[1]}]}',
    b'{"Messages":[{"MessageAttributes":{"a":{"BinaryValue":"x"}}}]}',
    *(b"[]", b'"x"', b"1", b"null", b"<html>", b"\xff", b""),
]


@pytest.mark.parametrize("body", ODD_BODIES, ids=repr)
async def test_a_success_of_any_shape_is_read_or_the_failure_of_its_call(asked, stub, body):
    stub.replies = [Say(200, body)]
    for call in (asked.change_message_visibility_batch, asked.receive_message):
        with suppress(QueueError):
            answer = await ask(call, QueueUrl="q")

            assert batch_results(answer, 1)[0].code
            assert messages_of(answer, 7.0)[0] == []


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="u", error="e"),
        TimeoutError(),
        KeyError("Id"),
        ClientError({}, "DeleteMessage"),
        ClientError({"Error": {"Code": "a b\n"}}, "DeleteMessage"),
    ],
    ids=repr,
)
async def test_whatever_a_client_raises_is_a_queue_error(error):
    async def delete_message(**_):
        raise error

    with pytest.raises(QueueError, match="delete_message failed: "):
        await ask(delete_message, QueueUrl="q")


async def test_a_call_that_is_cancelled_stays_so():
    async def receive_message():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await ask(receive_message)
