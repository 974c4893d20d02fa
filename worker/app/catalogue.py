"""The known jobs as plain data: what their declarations say, and nothing of this machine.

`deploy/jobs.json` is this, for Terraform and charts; the settings are the defaults.
"""

from typing import Any

from worker.api import Job
from worker.app.jobs import distribution_of, known_jobs, needed, required_settings
from worker.settings import variable_name


def catalogue() -> list[dict[str, Any]]:
    """Return each known job, in the order of all lists."""
    return [_entry(job) for job in known_jobs().values()]


def topics_of(jobs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the topics of Genesys Cloud that these jobs want: each once; of all jobs for none."""
    wanted = jobs or tuple(known_jobs())
    return tuple(dict.fromkeys(topic for name in wanted for topic in known_jobs()[name].topics))


def _entry(job: Job[Any]) -> dict[str, Any]:
    settings = job.settings()
    return {
        "name": job.name,
        "summary": job.summary,
        "distribution": distribution_of(job.name),
        "requires": list(required_settings(job)),
        "settings": [variable_name(job.settings, field) for field in job.settings.model_fields],
        "topics": list(job.topics),
        "detail_types": [glob for one in job.events for glob in getattr(settings, one.types)],
        "needs": list(needed(job)),
        "may_miss": list(job.may_miss),
        "permissions": dict(job.permissions),
        "aws_services": list(job.aws_services),
        "aws_actions": dict(job.aws_actions),
        "webhooks": [variable_name(job.settings, field) for field in job.webhooks],
        "bus_events": [{"source": source, "detail_type": kind} for source, kind in job.bus_events],
        "background": job.background,
    }
