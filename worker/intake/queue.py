"""Moved to `worker.clients.aws.sqs`; kept until the command line imports it from there."""

from worker.clients.aws.sqs import (  # noqa: F401
    MAX_BATCH,
    MAX_IN_FLIGHT,
    MAX_VISIBILITY_SECONDS,
    Queue,
    Results,
)
from worker.clients.aws.sqs_replies import EntryFailed, QueueAttributes, QueueError  # noqa: F401
