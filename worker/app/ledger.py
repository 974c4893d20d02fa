"""Builds the memory of what was done: for all workers, or for this process alone."""

import time

from worker.app.workshop import Workshop
from worker.clients.aws.ledger import DynamoLedger
from worker.clients.aws.ledger_table import LedgerTable, Terms
from worker.clients.aws.session import ClientLimits
from worker.intake.ledger import Ledger, MemoryLedger
from worker.intake.twins import Twins

LEDGER = "ledger"
"""Name of its guard: every handler needs it."""


async def build_ledger(workshop: Workshop) -> Ledger:
    """Return the ledger that LEDGER_TABLE names, or one in memory when it names none."""
    settings = workshop.settings.ledger
    if settings.table is None:
        return Twins(MemoryLedger())
    limits = ClientLimits(pool=workshop.settings.sqs.concurrency, read_seconds=3, attempts=4)
    client = await workshop.aws_client("dynamodb", limits)
    terms = Terms(settings.lease_seconds, settings.retention_seconds)
    table = LedgerTable(client, settings.table, workshop.guards.aws(LEDGER), terms, time.time)
    return Twins(DynamoLedger(table, settings.lease_seconds, fail_open=settings.fail_open))


class _Adapter:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def once(self, job, dedupe_key, run, *, proof, conversation_id=None):
        return await self._ledger.once(job, dedupe_key, run)


async def build_idempotency(workshop: Workshop):
    return _Adapter(await build_ledger(workshop)), None
