"""Checks of the jobs that are on: those they declare, and what can be checked of any."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from pydantic import HttpUrl

from worker.api import Check, ConfigurationError, Finding, Job, WorkerError, fail, ok, reach
from worker.app.command_line import for_job
from worker.app.context import AppContext
from worker.app.jobs import installed, jobs_on, named, title
from worker.findings import Checks
from worker.settings import Settings


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
