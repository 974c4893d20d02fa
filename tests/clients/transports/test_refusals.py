"""What a service refuses, and what no service wrote."""

import gzip

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
)

from tests.support.aws_stub import Say, a_client, refusal
from worker.clients.aws.wire import by_aiohttp, connection

HTML = b"<html><body>Service Unavailable</body></html>"

CALL_ERRORS = [
    refusal("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"),
    refusal("ConditionalCheckFailedException", Item={"id": {"S": "k"}, "b": {"B": "AP8="}}),
    refusal("ValidationException:http://internal.example/coral#x"),
    refusal("InternalServerError", 500),
    Say(400, b'{"__type": "x#AccessDeniedException", "Message": "upper case"}'),
    Say(400, b'{"message": "no code"}'),
    Say(403, b"<AccessDenied/>"),
    Say(413, HTML),
    Say(404, b""),
    Say(503, HTML),
    Say(503, b" "),
    Say(502, b"bad gateway"),
    Say(304, b""),
    Say(
        400,
        b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}',
        {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
    ),
    Say(400, b'{"__type": "com.amazonaws.sqs#X"}', {"x-amzn-query-error": "unreadable"}),
]


async def refusals_of(transport, service, stub):
    """What is raised for each of the replies: its text, the response, the names of headers."""
    reported = []
    async with a_client(transport, service) as client:
        operation = client.put_item if service == "dynamodb" else client.receive_message
        for say in CALL_ERRORS:
            stub.replies = [Say(say.status, say.body, {"x-amzn-RequestId": "id", **say.headers})]
            with pytest.raises(ClientError) as caught:
                await operation()
            reported.append((str(caught.value), caught.value.response))
    return reported


def of_whom(part, whole):
    """Return what `whole` says where `part` says something."""
    if isinstance(part, dict):
        return {name: of_whom(value, whole.get(name)) for name, value in part.items()}
    return whole


@pytest.mark.parametrize("service", ["sqs", "dynamodb"])
async def test_a_refusal_is_the_same_error(stub, service, wire):
    sdk = await refusals_of("sdk", service, stub)
    ours = await refusals_of(wire, service, stub)

    for (text, response), (wire_text, wire_response) in zip(sdk, ours, strict=True):
        response["ResponseMetadata"]["HTTPHeaders"].pop("date")
        wire_response["ResponseMetadata"]["HTTPHeaders"].pop("date")
        # The SDK knows the fields of each error and takes those; here all are kept.
        assert (wire_text, of_whom(response, wire_response)) == (text, response)


async def test_a_missing_queue_has_the_code_of_old(sqs, open_client):
    async with open_client() as client:
        with pytest.raises(ClientError) as caught:
            await client.receive_message(QueueUrl=f"{sqs.endpoint_url}/000000000000/none")

    error = caught.value.response["Error"]
    assert error["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert (error["QueryErrorCode"], error["Type"]) == ("QueueDoesNotExist", "Sender")


async def test_a_missing_machine_is_named_by_its_code(moto, open_client, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:none"
    async with open_client("stepfunctions", read_seconds=60) as client:
        with pytest.raises(ClientError) as caught:
            await client.start_execution(stateMachineArn=arn, name="n", input="{}")

    assert caught.value.response["Error"]["Code"] == "StateMachineDoesNotExist"


async def test_without_credentials_no_call_is_made(stub, open_client, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with open_client() as client:
        with pytest.raises(NoCredentialsError):
            await client.receive_message(QueueUrl="q")

    assert stub.asked == []


async def test_credentials_that_no_header_can_hold_are_no_crash(stub, open_client, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "two\nlines")
    async with open_client() as client:
        with pytest.raises(HTTPClientError):
            await client.receive_message(QueueUrl="q")

    assert stub.asked == []


# From here on the wire client is stricter than the SDK, which takes a page of HTML with status 200
# for an answer without fields: a put that no one wrote would count as written.


@pytest.fixture
def strict(stub, wire):
    async def error_of(say, **limits):
        stub.replies = [say]
        async with a_client(wire, "dynamodb", **limits) as client:
            with pytest.raises(BotoCoreError) as caught:
                await client.put_item(TableName="t")
        return caught.value

    return error_of


@pytest.mark.parametrize("body", [HTML, b"[]", b'"text"', b"{", b"null", b"\xff"])
async def test_a_success_that_is_no_json_object_is_none(strict, body):
    assert type(await strict(Say(200, body))) is HTTPClientError


async def test_a_compressed_reply_that_was_not_asked_for_is_none(strict):
    squeezed = gzip.compress(b"{}")

    error = await strict(Say(200, squeezed, {"Content-Encoding": "gzip"}))

    assert type(error) is HTTPClientError


async def test_a_redirect_is_not_followed(stub, wire):
    stub.replies = [Say(302, b"", {"Location": f"{stub.url}/elsewhere"})]
    async with a_client(wire) as client:
        with pytest.raises(ClientError) as caught:
            await client.receive_message(QueueUrl="q")

    assert caught.value.response["Error"]["Code"] == "302"
    assert [request.path for request, _ in stub.asked] == ["/"]


async def test_a_reply_without_end_is_given_up(strict, monkeypatch):
    for module in (connection, by_aiohttp):
        monkeypatch.setattr(module, "MAX_BODY_BYTES", 100_000)

    await strict(Say(200, b'{"a": "' + b"x" * 1_000_000 + b'"}'))


async def test_a_damaged_reply_is_asked_for_again(stub, wire):
    stub.replies = [
        Say(200, b"{}", {"x-amz-crc32": "1"}),
        Say(200, b"{}", {"x-amz-crc32": "2745614147"}),
    ]
    async with a_client(wire, "dynamodb", attempts=2) as client:
        answer = await client.put_item(TableName="t")

    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


@pytest.mark.parametrize("value", ["\ud800", 2**64, object(), {1}, float])
async def test_parameters_that_are_not_json_are_our_mistake(stub, value, wire):
    async with a_client(wire) as client:
        with pytest.raises(ParamValidationError):
            await client.send_message(QueueUrl="q", MessageBody=value)

    assert stub.asked == []


async def test_a_refusal_keeps_the_item_that_stood_in_the_way(stub, wire):
    item = {"id": {"S": "k"}, "b": {"B": "AP8="}}
    stub.replies = [refusal("x#ConditionalCheckFailedException", Item=item)]
    async with a_client(wire, "dynamodb") as client:
        with pytest.raises(ClientError) as caught:
            await client.put_item(TableName="t")

    assert caught.value.response["Item"] == {"id": {"S": "k"}, "b": {"B": b"\x00\xff"}}
