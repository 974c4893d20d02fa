"""AWS: a file per service, one table of errors, and a wire client of our own."""

from worker.clients.aws.bus import Bus
from worker.clients.aws.crash_marks import CrashMarks, Evidence
from worker.clients.aws.errors import (
    CREDENTIALS,
    EntryFailed,
    QueueError,
    aws_errors,
    failure_called,
    fault_called,
    fault_of,
    is_unreachable,
    setting_errors,
)
from worker.clients.aws.idempotency import IdempotencyStore, IdempotencyTable
from worker.clients.aws.sqs import (
    MAX_BATCH,
    MAX_IN_FLIGHT,
    MAX_VISIBILITY_SECONDS,
    Message,
    Queue,
    QueueAttributes,
    Results,
)
from worker.clients.aws.wire.connection import ClientLimits

__all__ = [
    "CREDENTIALS",
    "MAX_BATCH",
    "MAX_IN_FLIGHT",
    "MAX_VISIBILITY_SECONDS",
    "Bus",
    "ClientLimits",
    "CrashMarks",
    "EntryFailed",
    "Evidence",
    "IdempotencyStore",
    "IdempotencyTable",
    "Message",
    "Queue",
    "QueueAttributes",
    "QueueError",
    "Results",
    "aws_errors",
    "failure_called",
    "fault_called",
    "fault_of",
    "is_unreachable",
    "setting_errors",
]
