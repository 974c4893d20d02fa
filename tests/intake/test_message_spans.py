"""A message is one span: linked to who sent it, marked by its result, and silent about people."""

import io

import orjson
import pytest
import structlog
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.factories import a_body, a_reference_body, a_voice_scored
from tests.support.genesys import a_guard
from tests.support.spans import SPAN, TRACE, TRACEPARENT, XRAY, XRAY_SPAN, XRAY_TRACE, linked
from tests.support.spans import traced_in_memory as traced
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.errors import Permanent, Unavailable
from worker.telemetry.logs import configure_logging
from worker.telemetry.tracing import Cause, tracing

pytestmark = pytest.mark.looptime  # all that is called is in the test's loop

LIMITS = ClientLimits(pool=2, read_seconds=60, attempts=1)
W3C_AS_XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"
CANARY = "5559876543"


@pytest.fixture
def spans():
    with traced() as exporter:
        yield exporter


@pytest.fixture
async def send(queue):
    """Return a function that sends a message by the API, attributes and all."""
    async with AwsSession().client("sqs", LIMITS) as client:

        async def one(body, attributes=None, system=None):
            await client.send_message(
                QueueUrl=queue,
                MessageBody=body,
                MessageAttributes=attributes or {},
                MessageSystemAttributes=system or {},
            )

        yield one


@pytest.fixture
def handle(sqs, queue, send, start_intake, recorder):
    """Return a function that lets the intake work through one message, with this behaviour."""

    async def run(*behaviour, body=None, attributes=None, system=None):
        await send(body or a_reference_body(a_voice_scored()).decode(), attributes, system)
        async with start_intake(recorder(*behaviour), RETRY_BASE_SECONDS=0.01):
            await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    return run


def text(value):
    return {"DataType": "String", "StringValue": value}


def messages(spans):
    return [span for span in spans.get_finished_spans() if span.kind is SpanKind.CONSUMER]


async def test_a_message_is_one_consumer_span_with_the_attributes_of_the_convention(handle, spans):
    await handle()

    (span,) = messages(spans)
    attributes = dict(span.attributes)
    assert span.name == "process events"
    assert span.parent is None
    assert attributes.pop("messaging.message.id")
    assert attributes == {
        "messaging.system": "aws_sqs",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "events",
        "worker.event_type": "voice.analytics",
        "worker.handlers": ("voice",),
        "worker.outcome": "done",
    }
    assert span.status.status_code is StatusCode.UNSET


async def test_the_correlation_id_of_genesys_is_an_attribute(handle, spans):
    event = orjson.loads(a_reference_body(a_voice_scored()))
    event["detail"]["metadata"] = {"CorrelationId": "c-4711"}

    await handle(body=orjson.dumps(event).decode())

    assert messages(spans)[0].attributes["genesys.correlation_id"] == "c-4711"


@pytest.mark.parametrize(
    ("attributes", "system"),
    [
        ({"traceparent": text(TRACEPARENT)}, {"AWSTraceHeader": text(XRAY)}),
        ({"traceparent": text("00-0-0-00")}, {"AWSTraceHeader": text(W3C_AS_XRAY)}),
    ],
)
async def test_a_span_is_linked_to_its_cause_and_never_its_child(handle, spans, attributes, system):
    await handle(attributes=attributes, system=system)

    (span,) = messages(spans)
    assert linked(span) == [(TRACE, SPAN)]
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" != TRACE


@pytest.mark.parametrize(
    ("traceparent", "header", "expected"),
    [
        (TRACEPARENT, None, [(TRACE, SPAN)]),
        (TRACEPARENT, XRAY, [(TRACE, SPAN)]),
        (None, XRAY, [(XRAY_TRACE, XRAY_SPAN)]),
        ("rubbish", XRAY, [(XRAY_TRACE, XRAY_SPAN)]),
        ("rubbish", "Root=1-2;Parent", []),
        (None, None, []),
    ],
)
async def test_the_w3c_header_counts_before_that_of_x_ray(spans, traceparent, header, expected):
    with tracing().process("m-1", Cause(traceparent, header)):
        pass

    assert linked(messages(spans)[0]) == expected


async def test_a_message_belongs_to_no_span_that_happens_to_be_open(spans):
    with tracing().call("sqs"), tracing().process("m-1", Cause()):
        pass

    assert messages(spans)[0].parent is None


async def test_each_turn_of_a_message_is_a_trace_of_its_own(handle, spans):
    async def fail():
        raise Unavailable("crm: 503")

    await handle(fail)

    first, second = messages(spans)
    assert first.attributes["messaging.message.id"] == second.attributes["messaging.message.id"]
    assert first.context.trace_id != second.context.trace_id
    assert [span.attributes["worker.outcome"] for span in (first, second)] == ["retry", "done"]
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "Unavailable"


async def test_a_dead_letter_is_marked_with_the_class_of_its_failure(
    sqs, queue, dead_letters, start_intake, recorder, spans
):
    sqs.send(queue, "no event at all")

    async with start_intake(recorder()):
        await sqs.wait_until(lambda: sqs.depth(dead_letters).visible == 1, 60)

    (span,) = messages(spans)
    assert (span.attributes["worker.outcome"], span.attributes["error.type"]) == (
        "dead_letter",
        "Permanent",
    )


async def test_a_call_is_a_child_of_its_message_named_like_the_upstream(handle, spans):
    async def answer():
        return None

    async def call():
        await a_guard("crm").call(answer)

    await handle(call)

    (message,), (called,) = (
        messages(spans),
        [span for span in spans.get_finished_spans() if span.kind is SpanKind.CLIENT],
    )
    assert (called.name, dict(called.attributes)) == ("crm", {"peer.service": "crm"})
    assert called.parent.span_id == message.context.span_id


async def test_each_attempt_of_a_call_is_a_span_with_its_own_end(spans):
    answers = [Unavailable("crm: 503"), None]

    async def attempt():
        if error := answers.pop(0):
            raise error

    await a_guard("crm", attempts=2).call(attempt)

    first, second = spans.get_finished_spans()
    assert (first.status.status_code, first.attributes["error.type"]) == (
        StatusCode.ERROR,
        "Unavailable",
    )
    assert second.status.status_code is StatusCode.UNSET


async def test_no_span_holds_a_phone_number_whatever_fails(
    sqs, queue, send, start_intake, recorder, spans
):
    async def attempt():
        raise Unavailable(f"tel:+1{CANARY}")

    async def call():
        await a_guard("crm").call(attempt)

    async def refuse():
        await a_guard("crm").call(attempt_refused)

    async def attempt_refused():
        raise Permanent(f"+1{CANARY}")

    detail = {
        "conversationId": f"tel:+1{CANARY}",
        "phoneNumber": f"+1{CANARY}",
        "metadata": {"CorrelationId": f"+1{CANARY}"},
    }
    good = orjson.loads(a_reference_body(a_voice_scored(phone_number=f"+1{CANARY}")))
    good["detail"]["metadata"] = detail["metadata"]
    attributes = {"traceparent": text(f"+1{CANARY}"), "from": text(f"+1{CANARY}")}
    bodies = [
        orjson.dumps(good),
        a_body("voice.analytics", detail),
        a_body(f"Voice Analytics +1{CANARY}", good["detail"]),
        a_body(f"+1{CANARY}", detail),
    ]
    for body in [bodies[0], *bodies]:
        await send(body.decode(), attributes)

    async with start_intake(recorder(call, refuse), RETRY_BASE_SECONDS=0.01):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    written = "\n".join(span.to_json() for span in spans.get_finished_spans())
    assert {span.name for span in spans.get_finished_spans()} == {"process events", "crm"}
    assert "Permanent" in written
    assert "Unavailable" in written
    assert CANARY not in written


async def test_lines_of_a_message_carry_its_trace(handle, spans):
    async def report():
        structlog.get_logger().info("here")

    sink = io.StringIO()
    configure_logging("info", "json", sink)
    try:
        await handle(report)
    finally:
        structlog.reset_defaults()

    (span,) = messages(spans)
    lines = [orjson.loads(line) for line in sink.getvalue().splitlines()]
    of_message = [line for line in lines if line["event"] in {"here", "event_handled"}]
    assert len(of_message) == 2
    for line in of_message:
        assert line["trace_id"] == f"{span.context.trace_id:032x}"
        assert line["span_id"] == f"{span.context.span_id:016x}"


async def test_a_span_that_is_not_sampled_is_handed_on_as_such():
    with traced(sampler=ALWAYS_OFF) as spans, tracing().call("crm"):
        assert tracing().trace_header().endswith(";Sampled=0")

    assert not spans.get_finished_spans()
