"""Tracing by OpenTelemetry. Imported only when a collector is set: it comes with the extra `otel`.

Sampler, limits, batches, headers and the rest are OpenTelemetry's own, by its `OTEL_` variables.
Nothing is injected into HTTP requests: webhooks go to third parties, whom our ids do not concern.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import environ
from threading import Thread

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker import __version__
from worker.telemetry import tracing
from worker.telemetry.scrub import clean
from worker.telemetry.tracing import Cause

SERVICE = "genesys-event-worker"

FLUSH_SECONDS = 3
"""For the last spans, at the end of the process: a collector that is down must not delay it."""


class OtelSpan:
    """The span of a message in flight."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def mark(self, outcome: str, error: str | None = None) -> None:
        """Record the outcome, and a failure as the span's status."""
        self._span.set_attribute("worker.outcome", outcome)
        if error is not None:
            _fail(self._span, error)


class OtelTracing:
    """Spans of one queue's messages and of the calls they make."""

    on = True

    def __init__(self, provider: trace.TracerProvider, queue: str) -> None:
        self._tracer = provider.get_tracer("worker", __version__)
        self._queue = queue
        self._w3c = TraceContextTextMapPropagator()

    @contextmanager
    def process(self, message_id: str, cause: Cause) -> Iterator[OtelSpan]:
        """Open a CONSUMER span, root of its own trace.

        Not a child of its cause: a message comes again, hours later, and each time is a trace.
        """
        attributes = {
            "messaging.system": "aws_sqs",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": self._queue,
            "messaging.message.id": message_id,
        }
        with (
            self._tracer.start_as_current_span(
                f"process {self._queue}",
                context=Context(),
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                links=[Link(context) for context in self._cause(cause)],
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _judged(span),
        ):
            yield OtelSpan(span)

    def describe(
        self, event_type: str, correlation_id: str | None, handlers: Sequence[str]
    ) -> None:
        """Set attributes of the span in force."""
        span = trace.get_current_span()
        span.set_attribute("worker.event_type", clean(event_type))
        span.set_attribute("worker.handlers", handlers)
        if correlation_id is not None:
            span.set_attribute("genesys.correlation_id", clean(correlation_id))

    @contextmanager
    def call(self, upstream: str) -> Iterator[Span]:
        """Open a CLIENT span."""
        with (
            self._tracer.start_as_current_span(
                upstream,
                kind=SpanKind.CLIENT,
                attributes={"peer.service": upstream},
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _judged(span),
        ):
            yield span

    def trace_header(self) -> str | None:
        """Return the span in force as X-Ray's header."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        sampled = found.trace_flags.sampled
        return tracing.written(tracing.TraceIds(found.trace_id, found.span_id, sampled))

    def ids(self) -> Mapping[str, str]:
        """Return the span in force as logs name it."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return {}
        return {
            "trace_id": trace.format_trace_id(found.trace_id),
            "span_id": trace.format_span_id(found.span_id),
        }

    def _cause(self, cause: Cause) -> Iterator[SpanContext]:
        """Yield the one span that caused the message, if it is known."""
        if cause.traceparent is not None:
            context = self._w3c.extract({"traceparent": cause.traceparent}, Context())
            found = trace.get_current_span(context).get_span_context()
            if found.is_valid:
                yield found
                return
        if cause.trace_header is not None and (ids := tracing.read(cause.trace_header)):
            flags = TraceFlags(TraceFlags.SAMPLED if ids.sampled else TraceFlags.DEFAULT)
            yield SpanContext(ids.trace_id, ids.span_id, is_remote=True, trace_flags=flags)


def _exporter() -> OTLPSpanExporter:
    """Return the exporter, with SSL_CERT_FILE for its authorities, as all other clients have.

    By itself it reads its own variables and REQUESTS_CA_BUNDLE only.
    """
    own = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
    file = None if any(map(environ.get, own)) else environ.get("SSL_CERT_FILE")
    return OTLPSpanExporter(certificate_file=file)


@contextmanager
def exported(queue: str) -> Iterator[OtelTracing]:
    """Yield a tracing whose spans go to the collector; then send the last ones."""
    # It would quote OTEL_EXPORTER_OTLP_HEADERS, which hold the collector's key.
    logging.getLogger("opentelemetry.util.re").setLevel(logging.ERROR)
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    try:
        yield OtelTracing(provider, queue)
    finally:
        # In a thread that may be left behind: the SDK's own shutdown waits for half a minute.
        last = Thread(target=provider.shutdown, name="spans", daemon=True)
        last.start()
        last.join(FLUSH_SECONDS)


def _resource() -> Resource:
    """Return OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, with our name where they say none."""
    found = Resource.create({SERVICE_VERSION: __version__})
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: SERVICE}))
    return found


@contextmanager
def _judged(span: Span) -> Iterator[None]:
    """Record the class of what the block raises, and no more: texts and tracebacks stay here."""
    try:
        yield
    except BaseException as error:
        _fail(span, type(error).__name__)
        raise


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)
