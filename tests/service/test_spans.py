"""A whole worker with a collector: its spans arrive, the last ones by the end of the process."""

import signal

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.service.conftest import sample
from worker.emulators import serving

PHONE = "15550100001"


async def test_a_drained_worker_has_sent_the_spans_of_its_messages(
    emulators, start_worker, settled, known_customer
):
    bodies, app = [], web.Application()

    async def take(request):
        bodies.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    app.router.add_post("/v1/traces", take)
    async with serving(app) as url:
        # Longer than the test: only the end of the process sends them.
        slowly = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        async with start_worker(**slowly) as worker:
            emulators.sqs.send(emulators.queue_url, sample("events/reference/voice_analytics.json"))
            await settled()
            assert bodies == []
            worker.signal(signal.SIGTERM)
            assert await worker.wait(60) == 0

    spans = [span for body in bodies for span in _spans_of(body)]
    (message,) = (span for span in spans if span.name.startswith("process "))
    calls = {span.name for span in spans if span.parent_span_id == message.span_id}
    assert {"data_action", "dynamodb"} <= calls
    assert message.trace_id.hex() in {line.get("trace_id") for line in worker.lines()}
    assert PHONE.encode() not in b"".join(bodies)


def _spans_of(body):
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans
