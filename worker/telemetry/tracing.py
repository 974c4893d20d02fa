"""Tracing as the rest of the worker sees it: off by default, and then it costs next to nothing.

OpenTelemetry is imported only when a collector is set: see `worker.telemetry.otel`. There is one
tracing per process, as there is one set of metrics and one log, so it is not passed around.

X-Ray's trace header is what AWS services hand on, from an event or execution to the next:
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, NamedTuple, Protocol

import structlog
from msgspec import Struct

from worker.settings import Otel

_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")

MAX_LENGTH = 1024
"""Longest header that is read; ours has 74 characters."""


class TraceIds(NamedTuple):
    """A span, as others may refer to it."""

    trace_id: int
    span_id: int
    sampled: bool


def written(ids: TraceIds) -> str:
    """Return the header that names the span."""
    trace = f"{ids.trace_id:032x}"
    return f"Root=1-{trace[:8]}-{trace[8:]};Parent={ids.span_id:016x};Sampled={int(ids.sampled)}"


def read(header: str) -> TraceIds | None:
    """Return the span a header names; None for one that names none, or is no such header."""
    if len(header) > MAX_LENGTH:
        return None
    parts = dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)
    root = _ROOT.fullmatch(parts.get("Root", ""))
    parent = _PARENT.fullmatch(parts.get("Parent", ""))
    if not root or not parent:
        return None
    return TraceIds(int(root[1] + root[2], 16), int(parent[0], 16), parts.get("Sampled") == "1")


log = structlog.get_logger(__name__)


class Cause(Struct, frozen=True):
    """What a message says of the span that sent it; the first of the two that can be read counts.

    https://opentelemetry.io/docs/specs/semconv/messaging/sqs/
    """

    traceparent: str | None = None
    """Message attribute, W3C."""

    trace_header: str | None = None
    """System attribute `AWSTraceHeader`, X-Ray."""


class MessageSpan(Protocol):
    """The span of a message in flight."""

    def mark(self, outcome: str, error: str | None = None) -> None:
        """Record what became of the message; `error`: class of its failure."""


class Tracing(Protocol):
    """What may be traced. Values are ids and names from closed sets, never a text of an event."""

    on: bool
    """Whether anything is: asked once per message, which then opens no span."""

    def process(self, message_id: str, cause: Cause) -> AbstractContextManager[MessageSpan]:
        """Open the span of a message: linked to its cause, and child of nothing."""

    def describe(
        self, event_type: str, correlation_id: str | None, handlers: Sequence[str]
    ) -> None:
        """Record on the current span what the message turned out to be."""

    def call(self, upstream: str) -> AbstractContextManager[object]:
        """Open the span of one attempt to call an upstream."""

    def trace_header(self) -> str | None:
        """Return the span in force as X-Ray's header; None when there is none."""

    def ids(self) -> Mapping[str, str]:
        """Return `trace_id` and `span_id` of the span in force, for a log line."""


class _NoSpan:
    def mark(self, outcome: str, error: str | None = None) -> None:
        pass


class NoTracing:
    """Tracing that is off: one object for all spans, and no work."""

    on = False
    _span = nullcontext(_NoSpan())

    def process(self, _message_id: str, _cause: Cause) -> AbstractContextManager[MessageSpan]:
        """Open nothing."""
        return self._span

    def describe(
        self, _event_type: str, _correlation_id: str | None, _handlers: Sequence[str]
    ) -> None:
        """Record nothing."""

    def call(self, _upstream: str) -> AbstractContextManager[object]:
        """Open nothing."""
        return self._span

    def trace_header(self) -> str | None:
        """Return None."""
        return None

    def ids(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}


class _Switch:
    tracing: Tracing = NoTracing()


SWITCH: Final = _Switch()
"""What is in force; asked without a call where every log line asks."""


def tracing() -> Tracing:
    """Return the tracing of this process."""
    return SWITCH.tracing


@contextmanager
def in_force(chosen: Tracing) -> Iterator[None]:
    """Trace by `chosen` within the block."""
    before, SWITCH.tracing = SWITCH.tracing, chosen
    try:
        yield
    finally:
        SWITCH.tracing = before


@contextmanager
def traced(settings: Otel, queue_url: str) -> Iterator[None]:
    """Send spans and metrics within the block if a collector is set; then the last, for seconds."""
    spans, sends_metrics = settings.traces_exporter != "none", settings.metrics_exporter == "otlp"
    is_off = settings.exporter_otlp_endpoint is None or settings.sdk_disabled
    if is_off or not (spans or sends_metrics):
        yield
        return
    try:
        from worker.telemetry.otel import exported  # noqa: PLC0415  an extra, and not cheap
    except ModuleNotFoundError as error:
        log.warning("tracing_off", why="the extra `otel` is not installed", missing=error.name)
        yield
        return
    queue = queue_url.rsplit("/", 1)[-1] if spans else None
    with exported(queue, sends_metrics=sends_metrics) as chosen, in_force(chosen or NoTracing()):
        log.info("tracing_on", spans=spans, metrics=sends_metrics)
        yield
