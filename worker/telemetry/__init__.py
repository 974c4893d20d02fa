"""What the worker says about itself: metrics and logs, traces and the states of its parts."""

from worker.telemetry.logs import (
    audit_logger,
    configure_logging,
    flush_logs,
    log_as,
    log_fields,
    log_sink_problem,
)
from worker.telemetry.metrics import REGISTRY
from worker.telemetry.statuses import Cause as DeadLetterCause
from worker.telemetry.statuses import (
    InFlight,
    JobStatus,
    LastFailure,
    Problem,
    QueueStatus,
    Snapshot,
    UpstreamStatus,
)
from worker.telemetry.tallies import Count, Distribution
from worker.telemetry.tracing import Cause, MessageSpan, traced
from worker.telemetry.tracing import tracing as current_tracing

__all__ = [
    "REGISTRY",
    "Cause",
    "Count",
    "DeadLetterCause",
    "Distribution",
    "InFlight",
    "JobStatus",
    "LastFailure",
    "MessageSpan",
    "Problem",
    "QueueStatus",
    "Snapshot",
    "UpstreamStatus",
    "audit_logger",
    "configure_logging",
    "current_tracing",
    "flush_logs",
    "log_as",
    "log_fields",
    "log_sink_problem",
    "traced",
]
