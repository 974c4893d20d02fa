"""Settings of the idempotency store: what was done already."""

from typing import Annotated

from pydantic import Field

from worker.settings.fields import Group, Seconds, group


class Ledger(Group):
    """The idempotency store: what was done already, remembered for all workers."""

    model_config = group("LEDGER_")

    table: str | None = None
    """DynamoDB table with partition key `id` (S), no sort key, and TTL on `expiresAt`. Unset: each
    process remembers for itself, until it ends, and knows of no message that ended another."""

    lease_seconds: Annotated[Seconds, Field(ge=2)] = 120
    """How long work belongs to a worker that fell silent; renewed while it runs. Above
    HANDLER_DEADLINE_SECONDS it needs no renewal; a kill delays the copy by as much."""

    retention_seconds: Annotated[int, Field(ge=60)] = 1_296_000
    """How long done work is remembered: longer than SQS keeps a message, 14 days at most."""

    fail_open: bool = False
    """True: while the table is down, events are handled without it, and perhaps twice. False: they
    wait on the queue."""
