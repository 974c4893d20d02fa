"""`worker check` on what the handlers write to in AWS: reported by calls that change nothing."""

import orjson
import pytest
from aiohttp import web

from tests.support.aws import TRANSPORTS, an_aws_client, sdk_client
from tests.support.aws_stub import Say, Stub, refusal
from tests.support.factories import an_id
from tests.support.s3 import SUMS, an_s3
from worker.app.jobs import known_jobs
from worker.clients.aws import AwsService
from worker.clients.aws.probes import CRC32_OF_NOTHING, MARK, MD5_OF_NOTHING, put_events
from worker.demo.environment import PASS
from worker.emulators import serving
from worker.jobs.reports import REPORT_KEY, ReportSettings, check_bucket
from worker.jobs.workflow import WorkflowSettings
from worker.jobs.workflow.checks import DETAILS_KEY, check_details_bucket, check_state_machine

ROLE = "arn:aws:iam::123456789012:role/demo"
BOTH = {"sentiment", "reports"}
DENIED = refusal("com.amazon.coral.service#AccessDeniedException")
MALFORMED = {"ErrorCode": "MalformedDetail", "ErrorMessage": "no"}


@pytest.fixture
def moto(moto_url, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)


@pytest.fixture
async def stub(monkeypatch):
    stub = Stub()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stub.serve)
    async with serving(app) as stub.url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
        yield stub


@pytest.fixture
async def s3(monkeypatch):
    async with an_s3() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
        yield s3


@pytest.fixture
def nothing_there(monkeypatch, closed_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")


@pytest.fixture
async def state_machine(moto):
    async with sdk_client("stepfunctions") as client:
        made = await client.create_state_machine(
            name=f"m-{an_id()}", definition=orjson.dumps(PASS).decode(), roleArn=ROLE
        )
    return made["stateMachineArn"]


class Opener:
    """What a check is given: a context that opens AWS clients."""

    def __init__(self, client):
        self.client = client

    async def aws(self, service, *, setting):
        return AwsService(service, self.client, None, setting)


async def state_machine_row(arn="arn:aws:states:us-east-1:1:stateMachine:m", transport="wire"):
    async with an_aws_client("stepfunctions", transport) as client:
        settings = WorkflowSettings(step_functions_arn=arn)
        [row] = await check_state_machine(Opener(client), settings)
        return row


async def bus_row(bus="default", handlers=BOTH, transport="wire"):
    async with an_aws_client("events", transport) as client:
        puts = [put for name in sorted(handlers) for put in known_jobs()[name].bus_events]
        events = AwsService("events", client, None, "EVENT_BUS_NAME")
        return await put_events("event bus", events, bus, puts)


async def report_row(context, bucket):
    return await check_bucket(context, ReportSettings(report_bucket=bucket))


async def details_row(context, bucket):
    return await check_details_bucket(context, WorkflowSettings(workflow_details_bucket=bucket))


async def bucket_row(check=report_row, bucket="reports"):
    async with sdk_client("s3") as client:
        [row] = await check(Opener(client), bucket)
        return row


async def test_call_details_without_a_bucket_are_no_finding():
    assert await check_details_bucket(None, WorkflowSettings()) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_state_machine_that_may_be_started_is_ok_and_nothing_starts(
    state_machine, transport
):
    row = await state_machine_row(state_machine, transport)

    async with sdk_client("stepfunctions") as client:
        listed = await client.list_executions(stateMachineArn=state_machine)
    assert (row.state, listed["executions"]) == ("ok", [])


async def test_a_state_machine_that_is_not_there_fails_and_names_the_setting(state_machine):
    row = await state_machine_row(state_machine + "x")

    assert (row.state, row.found) == ("fail", "StateMachineDoesNotExist")
    assert "STEP_FUNCTIONS_ARN" in row.remedy


async def test_a_missing_right_to_start_is_named(stub):
    stub.replies = [DENIED]

    row = await state_machine_row()

    assert (row.state, row.found) == (
        "fail",
        "AccessDeniedException to states:StartExecution; AWS: no",
    )
    assert row.remedy.startswith("allow the role states:StartExecution")


async def test_the_text_of_a_denial_is_bounded_and_cannot_act_on_a_terminal(stub):
    stub.replies = [refusal("AccessDeniedException", message="\x1b[2J" + "x" * 5000)]

    row = await state_machine_row()

    assert r"; AWS: \u001b[2Jx" in row.found
    assert "\x1b" not in row.found
    assert len(row.found) < 600


async def test_the_input_of_the_dry_start_can_start_nothing(stub):
    stub.replies = [refusal("InvalidExecutionInput")]

    await state_machine_row()

    [(_, content)] = stub.asked
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(orjson.loads(content)["input"])


async def test_an_execution_that_started_all_the_same_is_a_warning_that_names_it(stub):
    stub.replies = [Say(body=orjson.dumps({"executionArn": "a", "startDate": 1}))]

    row = await state_machine_row()

    assert (row.state, MARK in row.remedy) == ("warn", True)


async def test_step_functions_out_of_reach_fails(nothing_there):
    row = await state_machine_row()

    assert (row.state, row.found) == ("fail", "EndpointConnectionError")


@pytest.fixture
async def a_listener(moto):
    """A queue that hears everything on a new bus; yields the bus and what was heard."""
    name = f"bus-{an_id()}"
    async with sdk_client("events") as events, sdk_client("sqs") as sqs:
        queue = (await sqs.create_queue(QueueName=name))["QueueUrl"]
        await events.create_event_bus(Name=name)
        rule = {"Rule": name, "EventBusName": name}
        pattern = orjson.dumps({"source": [{"prefix": ""}]}).decode()
        await events.put_rule(Name=name, EventBusName=name, EventPattern=pattern)
        arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        await events.put_targets(**rule, Targets=[{"Id": "1", "Arn": arn}])

        async def heard():
            reply = await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=0)
            return reply.get("Messages", [])

        async def put(detail):
            entry = {"EventBusName": name, "Source": "s", "DetailType": "d", "Detail": detail}
            await events.put_events(Entries=[entry])

        yield name, heard, put


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_bus_that_takes_our_events_is_ok_and_nothing_is_put(a_listener, transport):
    bus, heard, put = a_listener

    row = await bus_row(bus, transport=transport)

    assert (row.state, await heard()) == ("ok", [])
    await put("{}")
    assert len(await heard()) == 1


async def test_each_handler_is_checked_with_the_source_and_type_of_its_events(stub):
    stub.replies = [Say(body=orjson.dumps({"Entries": [MALFORMED]}))]

    await bus_row(handlers={"reports"})
    await bus_row(handlers={"sentiment", "voice"})

    entries = [orjson.loads(content)["Entries"] for _, content in stub.asked]
    assert [[(one["Source"], one["DetailType"]) for one in call] for call in entries] == [
        [("genesys.report.writer", "report.ready")],
        [
            ("genesys.sentiment.forwarder", "ChatSentimentAnalysis"),
            ("genesys.sentiment.forwarder", "ChatSentimentEscalation"),
        ],
    ]


async def test_a_bus_that_is_not_there_fails_although_events_are_taken_for_it(moto):
    row = await bus_row(f"bus-{an_id()}")

    assert row.state == "fail"
    assert "EVENT_BUS_NAME" in row.remedy


async def test_a_bus_that_is_not_there_fails_although_it_takes_what_it_should_refuse(stub):
    taken = Say(body=orjson.dumps({"Entries": [{"EventId": "e"}] * 3}))
    stub.replies = [taken, refusal("ResourceNotFoundException")]

    row = await bus_row("own")

    assert (row.state, row.found.partition(":")[0]) == ("fail", "does not exist")


async def test_no_permission_to_see_the_bus_is_no_fault(stub):
    stub.replies = [Say(body=orjson.dumps({"Entries": [MALFORMED] * 3})), DENIED]

    row = await bus_row("own")

    assert row.state == "ok"
    assert "existence not verified (AccessDeniedException)" in row.found


async def test_the_default_bus_is_not_checked(stub):
    stub.replies = [Say(body=orjson.dumps({"Entries": [MALFORMED] * 3})), DENIED]

    row = await bus_row("default")

    assert (row.state, len(stub.asked)) == ("ok", 1)


async def test_a_missing_right_to_put_events_is_named(stub):
    stub.replies = [DENIED]

    row = await bus_row()

    assert (row.state, row.found) == ("fail", "AccessDeniedException to events:PutEvents; AWS: no")


async def test_one_source_that_may_not_be_used_fails(stub):
    answers = [MALFORMED, {"ErrorCode": "NotAuthorizedForSourceException"}]
    stub.replies = [Say(body=orjson.dumps({"Entries": answers}))]

    row = await bus_row()

    assert row.state == "fail"
    assert row.found == "NotAuthorizedForSourceException to events:PutEvents"


async def test_an_event_that_was_taken_all_the_same_is_a_warning(stub):
    stub.replies = [Say(body=orjson.dumps({"Entries": [MALFORMED, {"EventId": "e"}]}))]

    assert (await bus_row()).state == "warn"


async def test_a_reply_without_the_result_of_the_entry_is_no_success(stub):
    stub.replies = [Say(body=b"{}")]

    assert (await bus_row()).state == "fail"


async def test_eventbridge_out_of_reach_fails(nothing_there):
    row = await bus_row()

    assert (row.state, row.found) == ("fail", "EndpointConnectionError")


CHECKS = [
    (report_row, REPORT_KEY, "REPORT_BUCKET"),
    (details_row, DETAILS_KEY, "WORKFLOW_DETAILS_BUCKET"),
]


@pytest.mark.parametrize(("check", "key", "_setting"), CHECKS)
async def test_a_bucket_that_may_be_written_to_is_ok_and_nothing_is_stored(
    s3, check, key, _setting
):
    row = await bucket_row(check)

    assert (row.state, s3.stored, s3.asked) == ("ok", {}, [("reports", key)])


@pytest.mark.parametrize("name", SUMS)
async def test_either_checksum_alone_keeps_the_object_out(s3, name):
    s3.reads = {name}

    row = await bucket_row()

    assert (row.state, s3.stored) == ("ok", {})


async def test_a_bucket_that_stores_would_have_stored_the_body_with_its_own_checksums(s3):
    async with sdk_client("s3") as client:
        await client.put_object(Bucket="reports", Key="reports/a", Body=MARK.encode())
        await client.put_object(
            Bucket="reports",
            Key="reports/b",
            Body=b"",
            ContentMD5=MD5_OF_NOTHING,
            ChecksumCRC32=CRC32_OF_NOTHING,
        )

    assert s3.stored == {"reports/a": MARK.encode(), "reports/b": b""}


def test_the_dry_write_goes_where_the_worker_may_write():
    """deploy/terraform/iam.tf grants these prefixes, and no others."""
    assert REPORT_KEY.startswith("reports/")
    assert DETAILS_KEY.startswith("call-details/")


@pytest.mark.parametrize(("check", "_key", "setting"), CHECKS)
async def test_a_bucket_that_is_not_there_fails_and_names_the_setting(moto, check, _key, setting):
    row = await bucket_row(check, f"bucket-{an_id()}")

    assert (row.state, row.found) == ("fail", "NoSuchBucket")
    assert setting in row.remedy


async def test_a_missing_right_to_write_is_named(s3):
    s3.status, s3.code = 403, "AccessDenied"

    row = await bucket_row()

    assert (row.state, row.found) == ("fail", "AccessDenied to s3:PutObject; AWS: no")


async def test_a_name_that_no_bucket_can_have_fails(s3):
    row = await bucket_row(bucket="arn:aws:s3:eu-west-1:1:nonsense")

    assert (row.state, s3.asked) == ("fail", [])
    assert "REPORT_BUCKET" in row.remedy


async def test_s3_out_of_reach_fails(nothing_there):
    row = await bucket_row()

    assert (row.state, row.found) == ("fail", "EndpointConnectionError")


async def test_an_object_that_was_stored_all_the_same_is_a_warning_that_names_it(moto):
    bucket = f"bucket-{an_id()}"
    async with sdk_client("s3") as client:
        await client.create_bucket(Bucket=bucket)

        row = await bucket_row(bucket=bucket)

        [found] = (await client.list_objects_v2(Bucket=bucket))["Contents"]
    assert (row.state, found["Key"]) == ("warn", REPORT_KEY)
    assert REPORT_KEY in row.remedy
