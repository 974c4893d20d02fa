"""Builds the memory of what was done: for all workers, or for this process alone."""

import time
from uuid import uuid4

from worker.app.context import AppContext
from worker.clients.aws.crash_marks import CrashMarks
from worker.clients.aws.idempotency import IdempotencyStore, IdempotencyTable
from worker.clients.aws.session import ClientLimits
from worker.intake.idempotency import Idempotency

LEDGER = "ledger"
"""Name of its upstream: jobs whose effects the store proves need it."""


async def build_idempotency(context: AppContext) -> tuple[Idempotency, CrashMarks | None]:
    """Return what knows what was done, and the marks of messages in flight, both in LEDGER_TABLE.

    Without a table each process remembers for itself, and there are no marks.
    """
    settings = context.settings.ledger
    if settings.table is None:
        return Idempotency(), None
    limits = ClientLimits(pool=context.settings.sqs.concurrency, read_seconds=3, attempts=4)
    client = await context.aws_client("dynamodb", limits)
    guard = context.upstreams.aws(LEDGER)
    table = IdempotencyTable(
        client,
        settings.table,
        guard,
        time.time,
        lease_seconds=settings.lease_seconds,
        retention_seconds=settings.retention_seconds,
    )
    store = IdempotencyStore(table, settings.lease_seconds, fail_open=settings.fail_open)
    marks = CrashMarks(client, settings.table, guard, uuid4().hex, time.time)
    return Idempotency(store), marks
