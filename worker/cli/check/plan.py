"""All checks, which of them the settings need, and their runs: none hangs or stops another."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from itertools import chain

from worker.app.command_line import open_with
from worker.app.jobs import known_jobs, unknown_settings, uses_genesys
from worker.cli.check.aws import aws_checks, check_region
from worker.cli.check.genesys import (
    LIMITS,
    PERMISSION,
    TOKEN,
    TOPIC,
    check_genesys,
    check_limits,
    check_permissions,
    check_topics,
)
from worker.cli.check.jobs import job_checks, jobs_on, settings_of_jobs
from worker.clients.aws import CALL_ERRORS, fault_of
from worker.errors import ConfigurationError
from worker.findings import Checks, Finding, fail, ok, warn
from worker.settings import Settings

DEADLINE_SECONDS = 20.0


async def findings_of(settings: Settings) -> list[Finding]:
    """Run all checks. Raises ConfigurationError for an AWS profile that does not exist."""
    checks = checks_of(settings)
    async with open_with(settings) as context:
        running = [_within(name, check(context)) for name, check in checks.items()]
        found = await asyncio.gather(*running)
    return [*settings_findings(settings), *check_region(settings), *chain.from_iterable(found)]


def checks_of(settings: Settings) -> Checks:
    """Return the checks that are needed, in the order of their findings."""
    asks_genesys = any(uses_genesys(job, settings.jobs[job.name]) for job in jobs_on(settings))
    asked = {
        TOKEN: check_genesys,
        PERMISSION: check_permissions,
        TOPIC: check_topics,
        LIMITS: check_limits,
    }
    genesys = asked if asks_genesys else {}
    return {**aws_checks(settings), **genesys, **job_checks(settings)}


def settings_findings(settings: Settings) -> list[Finding]:
    """Return what the settings alone show."""
    found = [ok("settings", f"complete; jobs on: {', '.join(settings.enabled_jobs())}")]
    half = settings.half_configured()
    # Handlers left out of HANDLERS are off on purpose: no finding.
    for handler, lacking in settings.disabled_jobs().items():
        remedy = f"to turn it on, set {', '.join(lacking)}"
        if handler in half:
            remedy += "; to leave it off, name the others in HANDLERS: its events are dead-lettered"
            found.append(fail("settings", half[handler], remedy))
        elif not settings.handlers.handlers:
            found.append(warn("settings", f"job {handler} is off", remedy))
    found += [*settings_of_jobs(settings), *long_waits(settings)]
    return found + [warn("settings", *_halves(line)) for line in unknown_settings()]


def long_waits(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each wait of a job that is on and is longer than retries go on for.

    No error at the start: what does not have to wait that long is handled.
    """
    horizon = settings.retry.horizon_seconds
    waits = [(job, field) for job in settings.enabled_jobs() for field in known_jobs()[job].waits]
    for job, field in waits:
        seconds = getattr(settings.jobs[job], field)
        if seconds is not None and seconds >= horizon:
            found = f"{field.upper()} is {seconds:g} s, but retries end after {horizon:g} s"
            remedy = "lower it, or raise RETRY_HORIZON_SECONDS: the message is dead-lettered first"
            yield warn("settings", found, remedy)


def problem_findings(problems: list[str]) -> list[Finding]:
    """Return a finding for each problem of the settings."""
    return [fail("settings", *_halves(problem)) for problem in problems]


async def _within(name: str, check: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await check
    except TimeoutError:
        return [fail(name, f"no answer in {DEADLINE_SECONDS:.0f} s", "check the network")]
    except UnicodeError:
        # Resolving ends so where a part of the name is longer than one can be.
        return [fail(name, "the host name is not valid", "check its URL")]
    except ConfigurationError as error:
        return [fail(name, *_halves(error.problems[0]))]
    except CALL_ERRORS as error:
        return [fail(name, fault_of(error).code, fault_of(error).remedy)]


def _halves(problem: str) -> tuple[str, str]:
    name, _, text = problem.partition(": ")
    return name, text
