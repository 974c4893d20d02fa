"""All checks, one after the other, none able to hang or to stop the next."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError

from worker.cli.preflight.aws import check_identity, check_ledger, check_region, check_table
from worker.cli.preflight.faults import fault_of
from worker.cli.preflight.genesys import check_genesys
from worker.cli.preflight.queue import check_queues
from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.settings import Settings, unknown_settings

LIMITS = ClientLimits(pool=2, read_seconds=5, attempts=2)
DEADLINE_SECONDS = 20.0

Ask = Callable[[Any], Awaitable[list[Row]]]


async def preflight(settings: Settings) -> list[Row]:
    """Return all rows."""
    session = AwsSession(settings.aws)
    rows = [*settings_rows(settings), *check_region(settings)]

    async def identity(sts: Any) -> list[Row]:
        return [await check_identity(sts)]

    async def queues(sqs: Any) -> list[Row]:
        return await check_queues(sqs, settings)

    rows += await _within("AWS credentials", _ask(session, "sts", identity))
    rows += await _within("queue", _ask(session, "sqs", queues))
    if settings.ledger.table:
        rows += await _within("ledger table", _ask(session, "dynamodb", partial(_ledger, settings)))
    if "voice" in settings.enabled_handlers():
        rows += await _within(
            "DynamoDB table", _ask(session, "dynamodb", partial(_voice, settings))
        )
    return rows + await _within("Genesys token", check_genesys(settings.genesys))


def settings_rows(settings: Settings) -> list[Row]:
    """Return what the settings alone tell."""
    rows = [ok("settings", f"complete; handlers on: {', '.join(settings.enabled_handlers())}")]
    # Handlers left out of HANDLERS are off on purpose; there is nothing to tell.
    if not settings.handlers.handlers:
        rows += [
            warn(
                "settings", f"handler {handler} is off", f"to turn it on, set {', '.join(lacking)}"
            )
            for handler, lacking in settings.disabled_handlers().items()
        ]
    return rows + [warn("settings", *_halves(line)) for line in unknown_settings()]


def problem_rows(problems: list[str]) -> list[Row]:
    """Return a row for each problem of the settings."""
    return [fail("settings", *_halves(problem)) for problem in problems]


async def _ledger(settings: Settings, dynamodb: Any) -> list[Row]:
    return [await check_ledger(dynamodb, settings.ledger.table or "")]


async def _voice(settings: Settings, dynamodb: Any) -> list[Row]:
    return [await check_table(dynamodb, settings.dynamodb.table or "")]


async def _ask(session: AwsSession, service: str, question: Ask) -> list[Row]:
    try:
        async with session.client(service, LIMITS) as client:
            return await question(client)
    except BotoCoreError as error:
        return [fail(service, fault_of(error).code, fault_of(error).remedy)]


async def _within(name: str, check: Awaitable[list[Row]]) -> list[Row]:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await check
    except TimeoutError:
        return [fail(name, f"no answer in {DEADLINE_SECONDS:.0f} s", "check the network")]


def _halves(problem: str) -> tuple[str, str]:
    name, _, text = problem.partition(": ")
    return name, text
