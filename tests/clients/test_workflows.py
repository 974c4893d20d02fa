"""Executions are started once; what is refused for all is no one's fault."""

import json
from contextlib import asynccontextmanager
from functools import partial

import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.support.aws import TRANSPORTS, an_aws_client
from tests.support.dynamodb import a_store as an_idempotency_store
from tests.support.dynamodb import a_store_table, a_stub
from tests.support.factories import a_conversation_ended, an_id
from tests.support.genesys import a_guard
from worker.clients.aws.session import AwsService
from worker.emulators import serving
from worker.errors import Misconfigured, Permanent, RateLimited, Rejected, Unauthorized, Unavailable
from worker.intake.idempotency import Idempotency
from worker.jobs.workflow.executions import DetailsStatus, DetailsStore, Workflows, execution_of

ROLE = "arn:aws:iam::123456789012:role/demo"
PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}


@pytest.fixture(params=TRANSPORTS)
def aws(request, monkeypatch):
    @asynccontextmanager
    async def client_of(service, url):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with an_aws_client(service, request.param) as client:
            yield client

    return client_of


@pytest.fixture
async def client(moto, aws):
    async with aws("stepfunctions", moto) as client:
        yield client


async def a_machine(client, definition):
    reply = await client.create_state_machine(
        name=f"m-{an_id()}", definition=orjson.dumps(definition).decode(), roleArn=ROLE
    )
    return reply["stateMachineArn"]


def a_service(client):
    return AwsService("stepfunctions", client, a_guard("stepfunctions"), "STEP_FUNCTIONS_ARN")


def a_store(client):
    return AwsService("s3", client, a_guard("s3"), "WORKFLOW_DETAILS_BUCKET")


def an_execution(event=None, details=None):
    return execution_of(
        event or a_conversation_ended(),
        details or {"a": 1},
        status=DetailsStatus.COMPLETE,
        steps=(),
    )


async def executions_of(client, arn):
    return (await client.list_executions(stateMachineArn=arn))["executions"]


async def test_an_execution_is_started_with_the_very_bytes_of_its_input(client):
    arn = await a_machine(client, PASS)
    execution = an_execution()

    assert await Workflows(a_service(client), arn).start(execution)

    (started,) = await executions_of(client, arn)
    described = await client.describe_execution(executionArn=started["executionArn"])
    assert (started["name"], described["input"]) == (execution.name, execution.encoded().decode())


async def test_a_repeat_while_it_runs_starts_no_second_one(client):
    arn = await a_machine(client, WAIT)
    workflows, event = Workflows(a_service(client), arn), a_conversation_ended()

    assert await workflows.start(an_execution(event))
    assert await workflows.start(an_execution(event))

    assert len(await executions_of(client, arn)) == 1


async def test_a_repeat_with_other_details_starts_no_second_one(client):
    arn = await a_machine(client, WAIT)
    workflows, event = Workflows(a_service(client), arn), a_conversation_ended()

    assert await workflows.start(an_execution(event))
    assert not await workflows.start(an_execution(event, {"a": 2}))

    assert len(await executions_of(client, arn)) == 1


async def test_a_missing_state_machine_dead_letters_nothing(client):
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:missing"

    with pytest.raises(Misconfigured) as caught:
        await Workflows(a_service(client), arn).start(an_execution())

    assert caught.value.setting == "STEP_FUNCTIONS_ARN"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ExecutionLimitExceeded", RateLimited),
        ("ThrottlingException", RateLimited),
        ("StateMachineDoesNotExist", Misconfigured),
        ("StateMachineDeleting", Misconfigured),
        ("InvalidArn", Misconfigured),
        ("AccessDeniedException", Unauthorized),
        ("KmsAccessDeniedException", Unauthorized),
        ("KmsInvalidStateException", Unauthorized),
        ("KmsThrottlingException", RateLimited),
        ("InvalidExecutionInput", Rejected),
        ("InvalidName", Rejected),
    ],
)
async def test_each_refusal_is_reported_by_who_must_act(aws, code, error):
    async with (
        a_stub(400, {"__type": code, "message": "…"}) as url,
        aws("stepfunctions", url) as client,
    ):
        with pytest.raises(error) as caught:
            await Workflows(a_service(client), "arn").start(an_execution())

    assert type(caught.value) is error


async def test_an_execution_that_was_started_before_is_no_failure(aws):
    async with (
        a_stub(400, {"__type": "ExecutionAlreadyExists", "message": "…"}) as url,
        aws("stepfunctions", url) as client,
    ):
        assert not await Workflows(a_service(client), "arn").start(an_execution())


class ExpressMachine:
    """A state machine of type EXPRESS: it takes a name as often as it is given."""

    def __init__(self):
        self.names = []

    async def start(self, request):
        name = json.loads(await request.read())["name"]
        self.names.append(name)
        arn = f"arn:aws:states:eu-west-1:123456789012:express:m:{name}:{len(self.names)}"
        reply = {"executionArn": arn, "startDate": 1.0}
        return web.json_response(reply, content_type="application/x-amz-json-1.0")

    @asynccontextmanager
    async def serve(self):
        app = web.Application()
        app.router.add_post("/", self.start)
        async with serving(app) as url:
            yield url


def a_worker(client, once=None):
    return Workflows(a_service(client), "arn", once)


async def test_an_express_machine_starts_once_for_all_events_of_an_end_in_any_worker(moto, aws):
    machine = ExpressMachine()
    async with (
        aws("dynamodb", moto) as dynamodb,
        machine.serve() as url,
        aws("stepfunctions", url) as client,
    ):
        table = await a_store_table(dynamodb)
        # Two workers, each with its memory, on one table.
        workers = [
            a_worker(client, partial(Idempotency(store).once, "workflow", proof="store"))
            for store in (an_idempotency_store(dynamodb, table) for _ in range(2))
        ]
        execution = an_execution()

        started = [await worker.start(execution) for worker in (*workers, *workers)]
        other = await workers[1].start(an_execution())

    assert started == [True, False, False, False]
    assert other
    assert machine.names[0] == execution.name
    assert len(machine.names) == 2


async def test_an_express_start_that_failed_is_made_by_the_next(moto, aws):
    async with (
        aws("dynamodb", moto) as dynamodb,
        a_stub(500, {"__type": "InternalFailure", "message": "…"}) as broken,
        aws("stepfunctions", broken) as failing,
    ):
        store = an_idempotency_store(dynamodb, await a_store_table(dynamodb))
        once = partial(Idempotency(store).once, "workflow", proof="store")
        execution = an_execution()
        with pytest.raises(Unavailable):
            await a_worker(failing, once).start(execution)
        machine = ExpressMachine()
        async with machine.serve() as url, aws("stepfunctions", url) as client:
            assert await a_worker(client, once).start(execution)

    assert machine.names == [execution.name]


async def test_a_machine_that_is_express_and_not_set_as_such_is_reported_once(aws):
    machine = ExpressMachine()
    async with machine.serve() as url, aws("stepfunctions", url) as client:
        worker = a_worker(client)
        with capture_logs() as logs:
            for _ in range(2):
                assert await worker.start(an_execution())

    assert [one["event"] for one in logs if one["log_level"] == "error"] == [
        "state_machine_is_express"
    ]


async def test_large_details_are_stored_under_the_same_key_each_time(moto, aws):
    async with aws("s3", moto) as s3:
        bucket = f"b-{an_id()}"
        await s3.create_bucket(Bucket=bucket)
        store, execution = DetailsStore(a_store(s3), bucket), an_execution()

        for _ in range(2):
            location = await store.put(execution.details_key(), execution.encoded_details())

        listed = await s3.list_objects_v2(Bucket=bucket)
        body = await (await s3.get_object(Bucket=bucket, Key=location["key"]))["Body"].read()

    assert location == {"bucket": bucket, "key": f"call-details/{execution.name}.json"}
    assert (listed["KeyCount"], body) == (1, b'{"a":1}')


async def test_large_details_without_a_bucket_are_permanent():
    with pytest.raises(Permanent, match="WORKFLOW_DETAILS_BUCKET"):
        await DetailsStore(a_store(None), None).put("k", b"{}")


async def test_a_missing_bucket_dead_letters_nothing(moto, aws):
    async with aws("s3", moto) as s3:
        with pytest.raises(Misconfigured) as caught:
            await DetailsStore(a_store(s3), f"b-{an_id()}").put("k", b"{}")

    assert caught.value.setting == "WORKFLOW_DETAILS_BUCKET"
