"""Checks of the jobs that are on: those they declare, and what can be checked of any."""

from collections.abc import Iterator
from typing import Any

from worker.api import Checks, Job
from worker.app.command_line import for_job
from worker.app.context import AppContext
from worker.app.jobs import BUILT_IN, known_jobs, named, required_settings
from worker.errors import ConfigurationError, WorkerError
from worker.findings import Finding, fail, ok
from worker.settings import Settings


def jobs_on(settings: Settings) -> Iterator[Job[Any]]:
    """Yield the declarations of the jobs that are on."""
    return (known_jobs()[name] for name in settings.enabled_jobs())


def with_checks(settings: Settings) -> list[Job[Any]]:
    """Return the jobs that are on and have checks of their own."""
    return [job for job in jobs_on(settings) if job.checks is not None]


def installed(settings: Settings) -> list[Job[Any]]:
    """Return the jobs that are on and come from another distribution."""
    return [job for job in jobs_on(settings) if job.name not in BUILT_IN]


def title(job: Job[Any]) -> str:
    """Return the name of a job's findings, where it gives none."""
    return f"job {job.name}"


def settings_of_jobs(settings: Settings) -> Iterator[Finding]:
    """Yield a finding per installed job that is on: what it requires is set."""
    for job in installed(settings):
        yield ok(title(job), f"set: {', '.join(required_settings(job)) or 'it requires nothing'}")


async def check_job(context: AppContext, *, job: Job[Any]) -> list[Finding]:
    """Run the checks of a job; what it raises is a finding."""
    try:
        found = await _function(job)(for_job(context, job.name), context.settings.jobs[job.name])
    except WorkerError as error:
        return [fail(title(job), str(error), "see the documentation of the job")]
    return list(found)


async def check_model(_: Any, *, job: Job[Any], service: str) -> Finding:
    """Report that a client of the service opens: images carry the models of what jobs declare."""
    return ok(f"{title(job)}: {service}", "a client opens; not called")


def _function(job: Job[Any]) -> Checks:
    if not isinstance(job.checks, str):
        if job.checks is None:
            raise ConfigurationError([f"job {job.name}: has no checks"])
        return job.checks
    found: Checks = named(job.checks, job.name)
    return found
