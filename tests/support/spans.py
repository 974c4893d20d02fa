"""Tracing into memory."""

from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from worker.telemetry.otel import OtelTracing
from worker.telemetry.tracing import in_force

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"

XRAY_TRACE, XRAY_SPAN = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
XRAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@contextmanager
def traced_in_memory(queue="events", **options):
    """Yield the exporter; `options`: of the provider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with in_force(OtelTracing(provider, queue)):
        yield exporter
    provider.shutdown()


def linked(span):
    """The trace and span ids a span is linked to."""
    return [(f"{x.context.trace_id:032x}", f"{x.context.span_id:016x}") for x in span.links]


def name_of(span):
    """The span as an X-Ray header names it."""
    trace = f"{span.context.trace_id:032x}"
    parent = f"{span.context.span_id:016x}"
    return f"Root=1-{trace[:8]}-{trace[8:]};Parent={parent};Sampled=1"
