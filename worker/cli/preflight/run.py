"""All checks, side by side, none able to hang or to stop another."""

import asyncio
from collections.abc import Awaitable
from itertools import chain

from worker.app.jobs import unknown_settings
from worker.cli.preflight.aws import check_region
from worker.cli.preflight.faults import REFUSALS, fault_of
from worker.cli.preflight.plan import AwsCheck, Found, aws_checks, http_checks
from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.cli.preflight.waits import judge_waits
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.settings import Settings

LIMITS = ClientLimits(pool=2, read_seconds=5, attempts=2)
DEADLINE_SECONDS = 20.0


async def preflight(settings: Settings) -> list[Row]:
    """Return all rows."""
    session = AwsSession(settings.aws)
    checks = [
        *(_within(one.name, _asked(session, one)) for one in aws_checks(settings)),
        *(_within(one.name, one.ask()) for one in http_checks(settings)),
    ]
    found = await asyncio.gather(*checks)
    return [*settings_rows(settings), *check_region(settings), *chain.from_iterable(found)]


def settings_rows(settings: Settings) -> list[Row]:
    """Return what the settings alone tell."""
    rows = [ok("settings", f"complete; handlers on: {', '.join(settings.enabled_jobs())}")]
    half = settings.half_configured()
    # Handlers left out of HANDLERS are off on purpose; there is nothing to tell.
    for handler, lacking in settings.disabled_jobs().items():
        remedy = f"to turn it on, set {', '.join(lacking)}"
        if handler in half:
            remedy += "; to leave it off, name the others in HANDLERS: its events are dead-lettered"
            rows.append(fail("settings", half[handler], remedy))
        elif not settings.handlers.handlers:
            rows.append(warn("settings", f"handler {handler} is off", remedy))
    rows += judge_waits(settings)
    return rows + [warn("settings", *_halves(line)) for line in unknown_settings()]


def problem_rows(problems: list[str]) -> list[Row]:
    """Return a row for each problem of the settings."""
    return [fail("settings", *_halves(problem)) for problem in problems]


async def _asked(session: AwsSession, check: AwsCheck) -> Found:
    try:
        async with session.client(check.service, LIMITS) as client:
            return await check.ask(client)
    except REFUSALS as error:
        return fail(check.name, fault_of(error).code, fault_of(error).remedy)


async def _within(name: str, check: Awaitable[Found]) -> list[Row]:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            found = await check
    except TimeoutError:
        return [fail(name, f"no answer in {DEADLINE_SECONDS:.0f} s", "check the network")]
    except UnicodeError:
        # Resolving ends so where a part of the name is longer than one can be.
        return [fail(name, "its host has a name that none can have", "check its URL")]
    return found if isinstance(found, list) else [found]


def _halves(problem: str) -> tuple[str, str]:
    name, _, text = problem.partition(": ")
    return name, text
