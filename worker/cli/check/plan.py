"""All checks, which of them the settings need, and their runs: none hangs or stops another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from pydantic import HttpUrl

from worker.api import Check, Job, WorkerError, fail, ok, reach
from worker.app.command_line import for_job, open_with
from worker.app.context import AppContext
from worker.app.findings import check_region, parts_of_problem, settings_findings
from worker.app.jobs import installed, jobs_on, named, title, uses_genesys
from worker.cli.check.aws import PERMISSION as AWS_PERMISSION
from worker.cli.check.aws import aws_checks
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
from worker.cli.check.permissions import untried_permissions
from worker.clients.aws import CALL_ERRORS, fault_of, is_unreachable
from worker.errors import ConfigurationError
from worker.findings import Checks, Finding
from worker.settings import Settings

DEADLINE_SECONDS = 20.0
NO_ANSWER = "no answer in"


async def findings_of(settings: Settings) -> list[Finding]:
    """Run all checks. Raises ConfigurationError for an AWS profile that does not exist."""
    checks = checks_of(settings)
    async with open_with(settings) as context:
        running = [_within(name, check(context)) for name, check in checks.items()]
        found = list(chain.from_iterable(await asyncio.gather(*running)))
        permissions = await _within(AWS_PERMISSION, untried_permissions(context, found))
    tried = [one for one in found if not (one.state == "untried" and one.permission)]
    return [*settings_findings(settings), *check_region(settings), *tried, *permissions]


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


def job_checks(settings: Settings) -> Checks:
    """Return the checks of the jobs that are on: their own, their AWS services, their webhooks."""
    checks: dict[str, Callable[[AppContext], Awaitable[Sequence[Finding]]]] = {}
    for job in jobs_on(settings):
        for name, check in job.checks.items():
            whole = f"{title(job)}: {name}" if name in checks else name
            checks[whole] = partial(check_job, job=job, check=check)
    for job in installed(settings):
        for service in job.aws_services:
            checks[f"{title(job)}: {service}"] = partial(check_model, job=job, service=service)
    for name, url in webhooks_of(settings):
        checks[name] = partial(check_webhook, name=name, url=url)
    return checks


async def check_job(context: AppContext, *, job: Job[Any], check: Check | str) -> Sequence[Finding]:
    """Run one check of a job; what it raises is a finding."""
    ask: Check = named(check, job.name) if isinstance(check, str) else check
    try:
        return await ask(for_job(context, job.name), context.settings.jobs[job.name])
    except ConfigurationError:
        raise
    except WorkerError as error:
        return [fail(title(job), str(error), "see the documentation of the job")]


async def check_model(context: AppContext, *, job: Job[Any], service: str) -> Sequence[Finding]:
    """Open a client of the service: images carry the models of what jobs declare."""
    await for_job(context, job.name).aws(service)
    return [ok(f"{title(job)}: {service}", "a client opens; not called")]


def webhooks_of(settings: Settings) -> Iterator[tuple[str, HttpUrl]]:
    """Yield setting and URL of the webhooks that the jobs which are on post to."""
    for job in jobs_on(settings):
        for field in job.webhooks:
            if (url := getattr(settings.jobs[job.name], field)) is not None:
                yield field.upper(), url


async def check_webhook(_: AppContext, *, name: str, url: HttpUrl) -> Sequence[Finding]:
    """Reach a webhook."""
    return [await reach(name, url)]


def problem_findings(problems: list[str]) -> list[Finding]:
    """Return a finding for each problem of the settings."""
    return [fail("bad setting", *parts_of_problem(problem)) for problem in problems]


def is_out_of_reach(failed: Finding) -> bool:
    """Return whether what failed gave no answer: its settings may be right."""
    code = failed.found.rpartition(": ")[2]
    return failed.found.startswith(NO_ANSWER) or is_unreachable(code)


async def _within(name: str, check: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await check
    except TimeoutError:
        return [fail(name, f"{NO_ANSWER} {DEADLINE_SECONDS:.0f} s", "check the network")]
    except UnicodeError:
        # Resolving ends so where a part of the name is longer than one can be.
        return [fail(name, "the host name is not valid", "check its URL")]
    except ConfigurationError as error:
        return [fail(name, *parts_of_problem(error.problems[0]))]
    except CALL_ERRORS as error:
        return [fail(name, fault_of(error).code, fault_of(error).remedy)]
