"""Whatever the transport: the same requests, and the same answers from them."""

import ast
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import botocore.session
import orjson
import pytest
from botocore import xform_name
from botocore.exceptions import HTTPClientError

import worker
from tests.support.aws import SET_UP, an_aws_client
from tests.support.aws_stub import Say, a_client
from tests.support.factories import an_id
from worker.clients.aws.wire.operations import DynamoDb, Events, Sqs, StepFunctions
from worker.emulators.sqs.control import FailEntries

BLOB = b"\x00\xff\x80 not text"
TEXT = "„Grüße\u2028 \U0001f600 \t\"'\\ 𝄞"
NOON = datetime(2026, 3, 2, 12, 0, 0, 987654, tzinfo=UTC)
ELSEWHERE = timezone(timedelta(hours=5))

CALLS = [
    ("sqs", "receive_message", {"QueueUrl": "q", "MaxNumberOfMessages": 10}),
    ("sqs", "delete_message", {"QueueUrl": "q", "ReceiptHandle": "r"}),
    ("sqs", "delete_message_batch", {"Entries": [{"Id": "0", "ReceiptHandle": "r"}]}),
    ("sqs", "change_message_visibility", {"ReceiptHandle": "r", "VisibilityTimeout": 0}),
    ("sqs", "change_message_visibility_batch", {"QueueUrl": "q", "Entries": []}),
    ("sqs", "send_message_batch", {"QueueUrl": "q", "Entries": [{"Id": "0", "MessageBody": TEXT}]}),
    ("sqs", "get_queue_attributes", {"QueueUrl": "q", "AttributeNames": ["All"]}),
    ("sqs", "start_message_move_task", {"SourceArn": "a", "MaxNumberOfMessagesPerSecond": 1}),
    (
        "sqs",
        "send_message",
        {
            "QueueUrl": "q",
            "MessageBody": TEXT,
            "MessageAttributes": {
                "blob": {"DataType": "Binary", "BinaryValue": BLOB},
                "array": {"DataType": "Binary", "BinaryValue": bytearray(BLOB)},
            },
        },
    ),
    (
        "dynamodb",
        "put_item",
        {
            "TableName": "t",
            "Item": {
                "b": {"B": BLOB},
                "bs": {"BS": [BLOB, b""]},
                "m": {"M": {"l": {"L": [{"B": BLOB}, {"N": "1"}, {"NULL": True}]}}},
                TEXT: {"S": TEXT},
            },
        },
    ),
    ("dynamodb", "update_item", {"TableName": "t", "Key": {"id": {"S": "k"}}}),
    ("dynamodb", "delete_item", {"TableName": "t", "Key": {"id": {"S": "k"}}}),
    ("dynamodb", "query", {"TableName": "t", "ExclusiveStartKey": {"id": {"B": BLOB}}}),
    ("stepfunctions", "start_execution", {"stateMachineArn": "a", "name": "n", "input": TEXT}),
    ("events", "put_events", {"Entries": [{"Time": NOON, "Detail": TEXT}]}),
    ("events", "put_events", {"Entries": [{"Time": NOON.replace(tzinfo=None)}]}),
    ("events", "put_events", {"Entries": [{"Time": NOON.astimezone(ELSEWHERE)}]}),
    ("events", "describe_event_bus", {"Name": "own"}),
    ("events", "list_rule_names_by_target", {"TargetArn": "a", "EventBusName": "own"}),
]  # fmt: skip


SERVICES = ["sqs", "dynamodb", "stepfunctions", "events"]


async def asked_by(transport, service, stub):
    """What the server is asked by each of the service's calls."""
    stub.asked.clear()
    names = ("Content-Type", "X-Amz-Target", "x-amzn-query-mode", "Accept-Encoding")
    async with a_client(transport, service) as client:
        for name, operation, parameters in CALLS:
            if name == service:
                await getattr(client, operation)(**parameters)
    return [
        (
            request.method,
            request.raw_path,
            {name: request.headers.get(name) for name in names},
            _whole_seconds(orjson.loads(content)),
        )
        for request, content in stub.asked
    ]


def _whole_seconds(content):
    """Without the fractions of `Time`, which old releases of the SDK cut off."""
    for entry in content.get("Entries", ()):
        if "Time" in entry:
            entry["Time"] = int(entry["Time"])
    return content


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (NOON, 1772452800.987654),
        (NOON.replace(tzinfo=None), 1772452800.987654),
        (NOON.astimezone(ELSEWHERE), 1772452800.987654),
        (NOON.replace(microsecond=0), 1772452800),
    ],
)
async def test_the_time_of_an_event_keeps_its_fraction(stub, moment, sent, wire):
    async with a_client(wire, "events") as client:
        await client.put_events(Entries=[{"Time": moment}])

    ((_, content),) = stub.asked
    assert orjson.loads(content) == {"Entries": [{"Time": sent}]}


@pytest.mark.parametrize("service", SERVICES)
async def test_a_call_is_the_same_request(stub, service, wire):
    assert await asked_by(wire, service, stub) == await asked_by("sdk", service, stub)


OPERATIONS = {
    name
    for kind in (Sqs, DynamoDb, StepFunctions, Events)
    for name in vars(kind)
    if not name.startswith("_")
}


def test_all_operations_of_the_wire_clients_are_compared_here():
    assert {operation for _, operation, _ in CALLS} == OPERATIONS
    assert not OPERATIONS & SET_UP


def test_the_wire_clients_have_the_operations_that_the_worker_uses_and_no_other():
    session = botocore.session.get_session()
    known = {
        xform_name(operation)
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    }
    used = {
        node.attr
        for file in Path(worker.__file__).parent.rglob("*.py")
        # The demo makes and reads everything else, by the SDK; an emulator calls no one.
        if not {"demo", "emulators", "demo.py", "testing.py"} & set(file.parts)
        for node in ast.walk(ast.parse(file.read_text()))
        # Of event loops; EventBridge has an operation of that name.
        if isinstance(node, ast.Attribute) and node.attr != "create_connection"
    }

    assert used & known == OPERATIONS


REPLIES = [
    ("sqs", "receive_message", {}),
    ("sqs", "receive_message", {"Messages": []}),
    ("sqs", "receive_message", {"Messages": None}),
    ("sqs", "delete_message", None),
    (
        "sqs",
        "receive_message",
        {
            "Messages": [
                {
                    "MessageId": "m",
                    "ReceiptHandle": "r",
                    "Body": TEXT,
                    "Attributes": {"ApproximateReceiveCount": "2"},
                    "MessageAttributes": {
                        "blob": {"DataType": "Binary", "BinaryValue": "AP+AIG5vdCB0ZXh0"},
                        "text": {"DataType": "String", "StringValue": TEXT},
                    },
                },
                {"MessageId": "n", "Body": ""},
            ]
        },
    ),
    (
        "dynamodb",
        "query",
        {
            "Items": [{"b": {"B": "AP8="}, "l": {"L": [{"M": {"bs": {"BS": ["AP8=", ""]}}}]}}],
            "LastEvaluatedKey": {"id": {"B": "AP8="}, "n": {"N": "0.30000000000000004"}},
            "Count": 1,
        },
    ),
    ("dynamodb", "update_item", {"Attributes": {"b": {"B": "AP8="}, "no": {"NULL": True}}}),
    ("stepfunctions", "start_execution", {"executionArn": "a", "startDate": 1772452800.123}),
    ("events", "put_events", {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "Busy"}]}),
    ("events", "describe_event_bus", {"Name": "own", "CreationTime": 1772452800}),
    ("events", "list_rule_names_by_target", {"RuleNames": [TEXT, ""], "NextToken": "n"}),
]  # fmt: skip


async def answers_of(transport, service, stub):
    """What the service's calls answer to each of the replies."""
    answers = []
    async with a_client(transport, service) as client:
        for name, operation, reply in REPLIES:
            if name == service:
                content = b"" if reply is None else orjson.dumps(reply)
                stub.replies = [Say(200, content, {"x-amzn-RequestId": "id-1"})]
                answers.append(await getattr(client, operation)())
    for answer in answers:
        # Headers are reported by the SDK at each call; no one reads them.
        answer["ResponseMetadata"].pop("HTTPHeaders", None)
    return answers


@pytest.mark.parametrize("service", SERVICES)
async def test_a_reply_is_the_same_answer(stub, service, wire):
    answers = await answers_of(wire, service, stub)

    assert answers == await answers_of("sdk", service, stub)
    assert {answer["ResponseMetadata"]["RequestId"] for answer in answers} == {"id-1"}


async def test_a_message_arrives_as_it_was_sent(sqs, open_client):
    url = sqs.create_queue("q")
    attributes = {"blob": {"DataType": "Binary", "BinaryValue": BLOB}}
    async with open_client() as client:
        await client.send_message(QueueUrl=url, MessageBody=TEXT, MessageAttributes=attributes)
        answer = await client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])

    (message,) = answer["Messages"]
    assert (message["Body"], message["MessageAttributes"]) == (TEXT, attributes)


async def test_a_receive_of_nothing_has_no_messages(sqs, open_client):
    url = sqs.create_queue("q")
    async with open_client() as client:
        assert "Messages" not in await client.receive_message(QueueUrl=url)


async def test_entries_of_a_batch_have_their_own_results(sqs, open_client):
    url = sqs.create_queue("q")
    sqs.faults.add("DeleteMessageBatch", FailEntries(count=1, sender_fault=True))
    for body in "ab":
        sqs.send(url, body)
    async with open_client() as client:
        received = await client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        answer = await client.delete_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(received["Messages"])
            ],
        )

    assert [len(answer[kind]) for kind in ("Successful", "Failed")] == [1, 1]
    assert (answer["Failed"][0]["Code"], answer["Failed"][0]["SenderFault"]) == (
        "InternalError",
        True,
    )


async def test_an_item_comes_back_as_it_was_put(moto, transport, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    table, item = an_id(), {"id": {"S": TEXT}, "b": {"B": BLOB}, "n": {"N": "0.1"}}
    async with an_aws_client("dynamodb", transport) as client:
        await client.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await client.put_item(TableName=table, Item=item)
        answer = await client.query(
            TableName=table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": TEXT}},
        )

    assert answer["Items"] == [item]


async def test_a_body_of_a_mebibyte_arrives_whole(sqs, wire):
    url = sqs.create_queue("q")
    body = "é" * (512 * 1024)
    async with a_client(wire) as client:
        await client.send_message(QueueUrl=url, MessageBody=body)
        (message,) = (await client.receive_message(QueueUrl=url))["Messages"]

    assert message["Body"] == body


async def test_the_date_of_an_answer_is_reported_alike(stub, open_client):
    stub.replies = [Say(200, b"{}", {"Date": "Mon, 02 Mar 2026 12:00:00 GMT"})]
    async with open_client() as client:
        answer = await client.receive_message(QueueUrl="q")

    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"] == "Mon, 02 Mar 2026 12:00:00 GMT"


ODD_ITEMS = [
    ("dynamodb", "query", {"Items": {"a": 1}}),
    ("dynamodb", "query", {"Items": [{"b": {"B": "x"}}]}),
    ("dynamodb", "update_item", {"Attributes": 1}),
    ("stepfunctions", "start_execution", {"startDate": "x"}),
    ("stepfunctions", "start_execution", {"startDate": 1e300}),
    ("events", "describe_event_bus", {"CreationTime": {}}),
]


@pytest.mark.parametrize(("service", "operation", "reply"), ODD_ITEMS, ids=str)
async def test_an_answer_of_another_shape_is_the_failure_of_a_call(
    stub, service, operation, reply, wire
):
    stub.replies = [Say(200, orjson.dumps(reply))]
    async with a_client(wire, service) as client:
        with pytest.raises(HTTPClientError, match="another shape"):
            await getattr(client, operation)()


async def test_a_message_of_another_shape_costs_none_beside_it(stub, wire):
    whole = {"MessageId": "m", "MessageAttributes": {"b": {"BinaryValue": "AP8="}}}
    odd = [1, None, {"MessageAttributes": 1}, {"MessageAttributes": {"b": {"BinaryValue": "x"}}}]
    stub.replies = [Say(200, orjson.dumps({"Messages": [*odd, whole]}))]
    async with a_client(wire) as client:
        answer = await client.receive_message(QueueUrl="q")

    assert answer["Messages"][-1]["MessageAttributes"] == {"b": {"BinaryValue": b"\x00\xff"}}
    assert answer["Messages"][:3] == odd[:3]
