"""Events share calls, and each has its own result."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import orjson
import pytest

from tests.support.aws import TRANSPORTS, an_aws_client, sdk_client
from tests.support.eventbridge import an_event_bridge
from tests.support.factories import NOON, an_id
from tests.support.genesys import a_guard
from worker.clients.aws import bus as module
from worker.clients.aws.bus import MAX_BYTES, Bus
from worker.clients.aws.session import AwsService
from worker.errors import Misconfigured, Permanent, RateLimited, Rejected, Unauthorized, Unavailable

SOURCE = "genesys.sentiment.forwarder"


@pytest.fixture
async def bridge():
    async with an_event_bridge() as bridge:
        yield bridge


@pytest.fixture(params=TRANSPORTS)
def bus_of(request, monkeypatch):
    @asynccontextmanager
    async def make(url, name="default"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with an_aws_client("events", request.param) as client:
            bus = Bus(
                AwsService("events", client, a_guard("events"), "EVENT_BUS_NAME"), name, Random(1)
            )
            try:
                yield bus
            finally:
                await bus.aclose()

    return make


def put(bus, detail, detail_type="ChatSentimentAnalysis"):
    return bus.put(detail_type, detail, source=SOURCE, time=NOON)


async def put_all(bus, details):
    return await asyncio.gather(*(put(bus, one) for one in details), return_exceptions=True)


async def test_an_event_arrives_at_a_rule_with_its_source_type_and_detail(moto, bus_of):
    async with bus_of(moto) as bus, sdk_client("events") as events, sdk_client("sqs") as sqs:
        queue = (await sqs.create_queue(QueueName=f"q-{an_id()}"))["QueueUrl"]
        arn = (await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"]))[
            "Attributes"
        ]["QueueArn"]
        await events.put_rule(Name="r", EventPattern=orjson.dumps({"source": [SOURCE]}).decode())
        await events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])

        await put(bus, {"n": 1})

        (message,) = (await sqs.receive_message(QueueUrl=queue))["Messages"]
        event = orjson.loads(message["Body"])
    assert (event["source"], event["detail-type"], event["detail"]) == (
        SOURCE,
        "ChatSentimentAnalysis",
        {"n": 1},
    )
    assert event["time"] == "2026-03-02T12:00:00Z"


async def test_concurrent_events_share_calls_of_ten(bridge, bus_of):
    async with bus_of(bridge.url) as bus:
        assert await put_all(bus, [{"n": n} for n in range(25)]) == [None] * 25

    assert sorted(map(len, bridge.calls)) == [5, 10, 10]
    assert set(bridge.sent().values()) == {1}


async def test_a_repeat_has_the_very_same_bytes(bridge, bus_of):
    async with bus_of(bridge.url) as bus:
        await put(bus, {"n": 1, "a": {"y": 1, "x": 2}})
        await put(bus, {"a": {"x": 2, "y": 1}, "n": 1})

    ((first,), (second,)) = bridge.calls
    assert first == second
    assert first["Detail"] == '{"a":{"x":2,"y":1},"n":1}'
    assert first["EventBusName"] == "default"


async def test_only_entries_that_failed_are_sent_again(bridge, bus_of):
    bridge.times = 1
    details = [{"n": 1}, {"n": 2, "code": "InternalFailure"}, {"n": 3}]
    async with bus_of(bridge.url) as bus:
        assert await put_all(bus, details) == [None] * 3

    assert bridge.sent() == {1: 1, 2: 2, 3: 1}


async def test_an_entry_that_fails_for_good_fails_its_own_caller_only(bridge, bus_of):
    details = [
        {"n": 1},
        {"n": 2, "code": "MalformedDetail"},
        {"n": 3, "code": "ThrottlingException"},
    ]
    async with bus_of(bridge.url) as bus:
        results = await put_all(bus, details)

    assert [type(result) for result in results] == [type(None), Rejected, RateLimited]
    assert bridge.sent() == {1: 1, 2: 1, 3: module.MOST_ATTEMPTS}
    assert "customer" not in str(results)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", RateLimited),
        ("AccessDeniedException", Unauthorized),
        ("ResourceNotFoundException", Misconfigured),
        ("InternalException", Unavailable),
        ("ValidationException", Rejected),
    ],
)
async def test_a_call_that_fails_is_made_once_and_reported_by_who_must_act(
    bridge, bus_of, code, error
):
    bridge.error = code
    async with bus_of(bridge.url) as bus:
        results = await put_all(bus, [{"n": 1}, {"n": 2}])

    assert [type(result) for result in results] == [error] * 2
    assert len(bridge.calls) == 1


async def test_a_bus_that_is_missing_dead_letters_nothing(moto, bus_of):
    async with bus_of(moto, "missing") as bus:
        with pytest.raises(Misconfigured) as caught:
            await put(bus, {"n": 1})

    assert caught.value.setting == "EVENT_BUS_NAME"


async def test_a_call_never_holds_more_bytes_than_it_may(bridge, bus_of):
    details = [{"n": n, "text": "x" * 400_000} for n in range(5)]
    async with bus_of(bridge.url) as bus:
        assert await put_all(bus, details) == [None] * 5

    assert sorted(map(len, bridge.calls)) == [1, 2, 2]


async def test_an_event_larger_than_a_call_is_permanent_and_spoils_no_other(bridge, bus_of):
    async with bus_of(bridge.url) as bus:
        results = await put_all(bus, [{"n": 1, "text": "x" * MAX_BYTES}, {"n": 2}])

    assert [type(result) for result in results] == [Permanent, type(None)]
    assert bridge.sent() == {2: 1}
