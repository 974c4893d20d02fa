"""Spans and metrics for a collector. Imported only when one is set: the extra `otel` brings it.

Sampler, limits, batches, headers and the rest are OpenTelemetry's own, by its `OTEL_` variables.
Nothing is injected into HTTP requests: webhooks go to third parties, whom our ids do not concern.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from os import environ
from threading import Event, Thread
from typing import cast

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.samples import Sample

from worker import __version__
from worker.telemetry import metrics, tracing
from worker.telemetry.scrub import clean
from worker.telemetry.tracing import Cause

SERVICE = "genesys-event-worker"

log = structlog.get_logger(__name__)

CUMULATIVE = AggregationTemporality.CUMULATIVE

INTERVAL_SECONDS = 60.0
"""OpenTelemetry's own, without OTEL_METRIC_EXPORT_INTERVAL."""

FLUSH_SECONDS = 3
"""For the last spans and metrics: a collector that is down must not delay the end."""


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


def _authorities(signal: str) -> str | None:
    """Return SSL_CERT_FILE for an exporter's authorities, as all other clients have.

    By itself it reads its own variables and REQUESTS_CA_BUNDLE only.
    """
    own = (f"OTEL_EXPORTER_OTLP_{signal}_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
    return None if any(map(environ.get, own)) else environ.get("SSL_CERT_FILE")


@contextmanager
def exported(queue: str | None, *, sends_metrics: bool) -> Iterator[OtelTracing | None]:
    """Yield a tracing whose spans go to the collector, and send it metrics; then the last ones.

    `queue`: of the spans; None: there are no spans.
    """
    # It would quote OTEL_EXPORTER_OTLP_HEADERS, which hold the collector's key.
    logging.getLogger("opentelemetry.util.re").setLevel(logging.ERROR)
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    if queue is not None:
        exporter = OTLPSpanExporter(certificate_file=_authorities("TRACES"))
        provider.add_span_processor(BatchSpanProcessor(exporter))
    ended = Event()
    # In threads that may be left behind: the SDK's own shutdown waits for half a minute.
    last = [Thread(target=provider.shutdown, name="spans", daemon=True)]
    if sends_metrics:
        sending = Thread(target=_send_metrics, args=(ended,), name="metrics", daemon=True)
        sending.start()
        last.append(sending)
    try:
        yield None if queue is None else OtelTracing(provider, queue)
    finally:
        ended.set()
        last[0].start()
        until = time.monotonic() + FLUSH_SECONDS
        for one in last:
            one.join(max(0.0, until - time.monotonic()))


def _send_metrics(ended: Event) -> None:
    """Send what /metrics shows every OTEL_METRIC_EXPORT_INTERVAL ms, and once more at the end.

    Not by instruments of OpenTelemetry's: those of the worker are read at no cost for a message.
    """
    exporter = OTLPMetricExporter(certificate_file=_authorities("METRICS"))
    resource, since, is_last = _resource(), time.time_ns(), False
    while not is_last:
        is_last = ended.wait(_interval_seconds())
        try:
            exporter.export(_read(resource, since))
        except Exception as error:  # noqa: BLE001  the next ones may arrive
            log.warning("metrics_not_sent", failure=type(error).__name__)


def _interval_seconds() -> float:
    try:
        return float(environ["OTEL_METRIC_EXPORT_INTERVAL"]) / 1000
    except (KeyError, ValueError):
        return INTERVAL_SECONDS


def _read(resource: Resource, since: int) -> MetricsData:
    """Return all metrics as OpenTelemetry has them, under their names on /metrics.

    `since`: when counting began, in nanoseconds since the epoch.
    """
    now = time.time_ns()
    found = [_metric(family, since, now) for family in metrics.REGISTRY.collect()]
    scope = ScopeMetrics(InstrumentationScope("worker", __version__), found, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: PrometheusMetric, since: int, now: int) -> Metric:
    data: Sum | Gauge | Histogram
    if family.type == "histogram":
        data = Histogram(list(_distributions(family.samples, since, now)), CUMULATIVE)
    else:
        points = [NumberDataPoint(one.labels, since, now, one.value) for one in family.samples]
        is_counter = family.type == "counter"
        data = Sum(points, CUMULATIVE, is_monotonic=True) if is_counter else Gauge(points)
    name = family.name if family.type == "histogram" else _name(family)
    return Metric(name, family.documentation, None, data)


def _name(family: PrometheusMetric) -> str:
    """Return the name of its samples: `_total` and `_info` are no part of a family's."""
    return family.samples[0].name if family.samples else family.name


def _series_of(samples: Sequence[Sample]) -> dict[tuple[tuple[str, str], ...], list[Sample]]:
    """Return the samples of a histogram by their labels, those of its buckets apart."""
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for one in samples:
        labels = tuple(sorted((k, v) for k, v in one.labels.items() if k != "le"))
        series.setdefault(labels, []).append(one)
    return series


def _distributions(samples: Sequence[Sample], since: int, now: int) -> Iterator[HistogramDataPoint]:
    """Yield a point for each set of labels; its buckets are in order, and counted up."""
    unknown = cast("float", None)  # OTLP has both as optional, the SDK's type has not
    for labels, parts in _series_of(samples).items():
        buckets = [one for one in parts if "le" in one.labels]
        counts = [int(one.value) for one in buckets]
        each = [after - before for before, after in pairwise([0, *counts])]
        bounds = [float(one.labels["le"]) for one in buckets[:-1]]
        total = next(one.value for one in parts if one.name.endswith("_sum"))
        yield HistogramDataPoint(
            dict(labels), since, now, counts[-1], total, each, bounds, unknown, unknown
        )


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
