"""A conversation that ended starts one workflow, whatever is repeated, late or too large."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import orjson
import pytest
from msgspec.structs import replace

from tests.support.aws import an_aws_client
from tests.support.factories import NOON, a_conversation_ended, an_id, an_origin
from tests.support.genesys import a_guard, details_of, end
from worker.clients.aws.session import AwsService
from worker.clients.genesys.conversations import Batching, PlatformDetails
from worker.clients.genesys.details_query import ReferenceDetails
from worker.emulators.genesys import GenesysCloud
from worker.errors import NotYet, Permanent, RateLimited
from worker.events.origin import Result
from worker.jobs.workflow.executions import DetailsStore, Workflows
from worker.jobs.workflow.handler import StartWorkflow, WorkflowRules

RULES = WorkflowRules(steps=("fetch_crm_contact",), settle_seconds=1800)
DIALECTS = [PlatformDetails(), ReferenceDetails()]


@pytest.fixture
async def aws(moto, monkeypatch):
    """Step Functions with a machine of its own, and S3 with a bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    async with an_aws_client("stepfunctions") as functions, an_aws_client("s3") as s3:
        yield await AwsParts.make(functions, s3)


class AwsParts:
    def __init__(self, functions, s3, arn, bucket):
        self.functions, self.s3, self.arn, self.bucket = functions, s3, arn, bucket

    @classmethod
    async def make(cls, functions, s3):
        wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
        machine = await functions.create_state_machine(
            name=f"m-{an_id()}",
            definition=orjson.dumps(wait).decode(),
            roleArn="arn:aws:iam::123456789012:role/demo",
        )
        bucket = f"b-{an_id()}"
        await s3.create_bucket(Bucket=bucket)
        return cls(functions, s3, machine["stateMachineArn"], bucket)

    async def inputs(self):
        """The inputs of all executions, as text, by name."""
        listed = await self.functions.list_executions(stateMachineArn=self.arn)
        return {
            one["name"]: (
                await self.functions.describe_execution(executionArn=one["executionArn"])
            )["input"]
            for one in listed["executions"]
        }


@asynccontextmanager
async def handler_of(aws, cloud, *, age=0, dialect=None, bucket=None):
    """The handler, at `age` seconds after NOON."""
    async with details_of(cloud, dialect) as details:
        yield StartWorkflow(
            details=details,
            workflows=Workflows(
                AwsService("stepfunctions", aws.functions, a_guard("stepfunctions")), aws.arn
            ),
            store=DetailsStore(AwsService("s3", aws.s3, a_guard("s3")), bucket).put,
            rules=RULES,
            now=lambda: NOON + timedelta(seconds=age),
        )


def an_event(conversation_id=None, **over):
    origin = an_origin(occurred_at=NOON, correlation_id="cc", **over)
    return a_conversation_ended(conversation_id=conversation_id or an_id(), origin=origin)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_conversation_that_ended_starts_its_workflow(aws, dialect):
    cloud = GenesysCloud()
    event = an_event(end(cloud))
    async with handler_of(aws, cloud, dialect=dialect) as handle:
        assert await handle(event) is Result.OK

    ((name, text),) = (await aws.inputs()).items()
    assert name.startswith(f"enrich_{event.conversation_id}_")
    assert orjson.loads(text) == {
        "conversationId": event.conversation_id,
        "timestamp": "2026-03-02T12:00:00.000Z",
        "callDetails": cloud.ended[event.conversation_id].record,
        "detailsStatus": "complete",
        "enrichmentSteps": ["fetch_crm_contact"],
        "correlationId": "cc",
    }


async def test_a_repeat_starts_no_second_workflow(aws):
    cloud = GenesysCloud()
    event = an_event(end(cloud))
    async with handler_of(aws, cloud) as handle:
        await handle(event)
        first = await aws.inputs()
        await handle(replace(event, origin=replace(event.origin, event_id=an_id())))

    assert await aws.inputs() == first
    assert len(first) == 1


async def test_a_leg_that_left_and_the_end_of_the_conversation_start_one_workflow(aws):
    """`customer.end` with CONFERENCE_TRANSFER, then another with ENDPOINT."""
    cloud = GenesysCloud()
    transferred = an_event(end(cloud, closed_at=asyncio.get_running_loop().time() + 3600))
    ended = an_event(transferred.conversation_id)
    ended = replace(ended, origin=replace(ended.origin, occurred_at=NOON + timedelta(minutes=2)))
    async with handler_of(aws, cloud, age=150) as handle:
        with pytest.raises(NotYet):  # the agent still speaks to another
            await handle(transferred)
        cloud.ended[transferred.conversation_id].closed_at = 0

        results = [await handle(ended), await handle(transferred)]

    assert results == [Result.OK, Result.DUPLICATE]
    assert len(await aws.inputs()) == 1


async def test_a_repeat_after_the_details_changed_is_a_duplicate(aws):
    cloud = GenesysCloud()
    event = an_event(end(cloud))
    async with handler_of(aws, cloud) as handle:
        await handle(event)
        cloud.ended[event.conversation_id].record["externalTag"] = "new"

        assert await handle(event) is Result.DUPLICATE

    assert len(await aws.inputs()) == 1


@pytest.mark.parametrize("when", [{"listed_at": float("inf")}, {"closed_at": float("inf")}])
async def test_details_that_are_not_there_are_waited_for_and_nothing_is_started(aws, when):
    cloud = GenesysCloud()
    event = an_event(end(cloud, **when))
    async with handler_of(aws, cloud, age=31) as handle:
        with pytest.raises(NotYet) as caught:
            await handle(event)

    assert caught.value.retry_after == 89
    assert await aws.inputs() == {}


@pytest.mark.parametrize("when", [{"listed_at": float("inf")}, {"closed_at": float("inf")}])
async def test_details_that_never_came_start_the_workflow_as_partial(aws, when):
    cloud = GenesysCloud()
    event = an_event(end(cloud, **when))
    async with handler_of(aws, cloud, age=1800) as handle:
        assert await handle(event) is Result.DEGRADED

    ((_, text),) = (await aws.inputs()).items()
    assert orjson.loads(text)["detailsStatus"] == "partial"
    assert "conversationEnd" not in orjson.loads(text)["callDetails"]


async def test_details_larger_than_an_input_go_to_s3(aws):
    cloud = GenesysCloud()
    event = an_event(end(cloud))
    record = cloud.ended[event.conversation_id].record
    record["notes"] = "x" * 262_144
    async with handler_of(aws, cloud, bucket=aws.bucket) as handle:
        assert await handle(event) is Result.OK

    ((name, text),) = (await aws.inputs()).items()
    key = f"call-details/{name}.json"
    stored = await (await aws.s3.get_object(Bucket=aws.bucket, Key=key))["Body"].read()
    assert orjson.loads(text)["callDetails"] == {"s3": {"bucket": aws.bucket, "key": key}}
    assert orjson.loads(stored) == record


async def test_details_larger_than_an_input_are_dead_lettered_without_a_bucket(aws):
    cloud = GenesysCloud()
    event = an_event(end(cloud))
    cloud.ended[event.conversation_id].record["notes"] = "x" * 262_144
    async with handler_of(aws, cloud) as handle:
        with pytest.raises(Permanent, match="WORKFLOW_DETAILS_BUCKET"):
            await handle(event)


async def test_a_genesys_that_is_down_starts_nothing(aws):
    cloud = GenesysCloud()
    cloud.fail_with("details_by_id", 429, retry_after=300)
    async with handler_of(aws, cloud, age=7200) as handle:
        with pytest.raises(RateLimited):
            await handle(an_event(end(cloud)))

    assert await aws.inputs() == {}


class SlowStarts:
    """Takes as long as Step Functions may; in this loop, so that time is virtual."""

    def __init__(self):
        self.names, self.random = [], Random(1)

    async def start(self, execution):
        await asyncio.sleep(self.random.uniform(0.01, 0.15))
        self.names.append(execution.name)
        return True


@pytest.mark.looptime
@pytest.mark.parametrize("concurrency", [64, 2000])
async def test_two_thousand_events_cost_sixty_requests_under_a_budget_of_300_a_minute(concurrency):
    cloud = GenesysCloud(latency_seconds=0.2, requests_per_minute=300)
    events = [an_event(end(cloud)) for _ in range(2000)]
    starts, slots = SlowStarts(), asyncio.Semaphore(concurrency)
    async with details_of(cloud, batching=Batching.within(300), per_minute=300) as details:
        handle = StartWorkflow(
            details=details,
            workflows=starts,
            store=DetailsStore(AwsService("s3", None, a_guard("s3")), None).put,
            rules=RULES,
            now=lambda: NOON,
        )

        async def run(event):
            async with slots:
                return await handle(event)

        began = asyncio.get_running_loop().time()
        results = await asyncio.gather(*map(run, events))
        took = asyncio.get_running_loop().time() - began

    assert set(results) == {Result.OK}
    assert len(set(starts.names)) == 2000
    assert cloud.counts["details_by_id"] <= 60
    assert took < 60
