"""Our own events and executions carry the trace on; what goes to others does not."""

import asyncio
from random import Random

import orjson
import pytest
from aiohttp import web

from tests.support.eventbridge import an_event_bridge
from tests.support.factories import NOON, a_conversation_ended
from tests.support.genesys import a_guard
from tests.support.spans import name_of
from tests.support.spans import traced_in_memory as traced
from worker.clients.aws.bus import Bus
from worker.clients.aws.session import AwsService, AwsSession, ClientLimits
from worker.clients.http import HttpClient
from worker.clients.http_types import origin_of
from worker.clients.webhooks import WEBHOOK_LIMITS, Webhook
from worker.emulators import WebhookSink, serving
from worker.jobs.workflow.executions import DetailsStatus, Workflows, execution_of
from worker.telemetry.tracing import Cause, tracing

LIMITS = ClientLimits(pool=2, read_seconds=60, attempts=1)
NO_CAUSE = Cause()
ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:m"


@pytest.fixture
async def bridge():
    async with an_event_bridge() as bridge:
        yield bridge


@pytest.fixture
async def bus(bridge, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", bridge.url)
    async with AwsSession().client("events", LIMITS) as client:
        bus = Bus(
            AwsService("events", client, a_guard("events"), "EVENT_BUS_NAME"), "default", Random(1)
        )
        yield bus
        await bus.aclose()


async def put(bus, n):
    with tracing().process(f"m-{n}", NO_CAUSE):
        await bus.put("report.ready", {"n": n}, source="genesys.report.writer", time=NOON)


async def test_each_event_of_a_shared_call_names_the_span_of_its_own_message(bus, bridge):
    with traced() as spans:
        await asyncio.gather(put(bus, 1), put(bus, 2))

    (call,) = bridge.calls
    by_message = {
        span.attributes["messaging.message.id"]: name_of(span)
        for span in spans.get_finished_spans()
        if "messaging.message.id" in span.attributes
    }
    headers = {f"m-{orjson.loads(e['Detail'])['n']}": e["TraceHeader"] for e in call}
    assert headers == by_message
    assert len(set(headers.values())) == 2


async def test_a_repeat_of_an_event_has_another_trace_and_the_same_bytes(bus, bridge):
    with traced():
        await put(bus, 1)
        await put(bus, 1)

    (first,), (second,) = bridge.calls
    assert first["TraceHeader"] != second["TraceHeader"]
    assert {**first, "TraceHeader": ""} == {**second, "TraceHeader": ""}


async def test_without_tracing_an_event_names_no_trace(bus, bridge):
    await put(bus, 1)

    ((entry,),) = bridge.calls
    assert "TraceHeader" not in entry


@pytest.fixture
async def starts(monkeypatch):
    """The starts a Step Functions was asked for, each as its request's body."""
    asked, app = [], web.Application()

    async def answer(request):
        asked.append(orjson.loads(await request.read()))
        body = orjson.dumps({"executionArn": f"{ARN}:e", "startDate": 1})
        return web.Response(body=body, content_type="application/x-amz-json-1.0")

    app.router.add_post("/", answer)
    async with serving(app) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield asked


async def start():
    execution = execution_of(a_conversation_ended(), {}, status=DetailsStatus.COMPLETE, steps=())
    async with AwsSession().client("stepfunctions", LIMITS) as client:
        stepfunctions = AwsService("stepfunctions", client, a_guard("stepfunctions"))
        await Workflows(stepfunctions, ARN).start(execution)


async def test_an_execution_names_the_span_of_the_call_that_starts_it(starts):
    with traced() as spans:
        await start()

    (span,) = spans.get_finished_spans()
    assert (span.name, starts[0]["traceHeader"]) == ("stepfunctions", name_of(span))


async def test_without_tracing_an_execution_names_no_trace(starts):
    await start()

    assert "traceHeader" not in starts[0]


async def test_a_webhook_is_sent_no_trace():
    async with (
        WebhookSink() as sink,
        HttpClient("hook", origin_of("hook", sink.url), WEBHOOK_LIMITS) as http,
    ):
        hook = Webhook("hook", sink.url, None, a_guard("hook"), http)
        with traced() as spans:
            await hook.post({"a": 1}, delivery_id="d-1")

    (span,) = spans.get_finished_spans()
    (delivery,) = sink.deliveries
    assert not {"traceparent", "tracestate", "x-amzn-trace-id"} & set(delivery.headers)
    assert f"{span.context.trace_id:032x}" not in str(delivery)
