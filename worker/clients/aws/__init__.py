"""AWS: a file per service, one table of errors, and a wire client of our own."""

from worker.clients.aws import probes
from worker.clients.aws.budget import DynamoBudget, TableClock
from worker.clients.aws.bus import Bus
from worker.clients.aws.crash_marks import CrashMarks, Evidence, store_and_marks
from worker.clients.aws.errors import (
    CALL_ERRORS,
    CREDENTIALS,
    EntryFailed,
    Fault,
    QueueError,
    fault_called,
    fault_of,
    is_unreachable,
    kind_of,
    setting_errors,
)
from worker.clients.aws.idempotency import IdempotencyTable
from worker.clients.aws.session import AwsService
from worker.clients.aws.sqs import (
    MAX_BATCH,
    MAX_IN_FLIGHT,
    MAX_VISIBILITY_SECONDS,
    Message,
    Queue,
    QueueAttributes,
    Results,
    attributes_of,
)
from worker.clients.aws.wire.connection import ClientLimits

__all__ = [
    "CALL_ERRORS",
    "CREDENTIALS",
    "MAX_BATCH",
    "MAX_IN_FLIGHT",
    "MAX_VISIBILITY_SECONDS",
    "AwsService",
    "Bus",
    "ClientLimits",
    "CrashMarks",
    "DynamoBudget",
    "EntryFailed",
    "Evidence",
    "Fault",
    "IdempotencyTable",
    "Message",
    "Queue",
    "QueueAttributes",
    "QueueError",
    "Results",
    "TableClock",
    "attributes_of",
    "fault_called",
    "fault_of",
    "is_unreachable",
    "kind_of",
    "probes",
    "setting_errors",
    "store_and_marks",
]
