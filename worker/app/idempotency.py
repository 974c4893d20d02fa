"""Builds the memory of what was done: for all workers, or for this process alone."""

import time

from worker.app.workshop import Workshop
from worker.clients.aws.idempotency_store import IdempotencyStore
from worker.clients.aws.idempotency_table import IdempotencyTable
from worker.clients.aws.session import ClientLimits
from worker.intake.idempotency import Idempotency

LEDGER = "ledger"
"""Name of its upstream: jobs whose effects the store proves need it."""


async def build_idempotency(workshop: Workshop) -> Idempotency:
    """Return it with the table that LEDGER_TABLE names, or in memory alone when it names none."""
    settings = workshop.settings.ledger
    if settings.table is None:
        return Idempotency()
    limits = ClientLimits(pool=workshop.settings.sqs.concurrency, read_seconds=3, attempts=4)
    table = IdempotencyTable(
        await workshop.aws_client("dynamodb", limits),
        settings.table,
        workshop.upstreams.aws(LEDGER),
        time.time,
        lease_seconds=settings.lease_seconds,
        retention_seconds=settings.retention_seconds,
    )
    store = IdempotencyStore(table, settings.lease_seconds, fail_open=settings.fail_open)
    return Idempotency(store)
