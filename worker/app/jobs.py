"""Which jobs there are: those of the box, and those of installed packages; and what they declare.

`deploy/jobs.json` is their catalogue, for Terraform and charts: what the declarations say, and
nothing of this machine; the settings are the defaults.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from msgspec import Struct

from worker import settings as core
from worker.api import Job
from worker.app.upstreams import GENESYS
from worker.errors import ConfigurationError
from worker.events import EventReader, Wanted
from worker.settings import Declared, Group, Row, Settings, variable_name

GROUP = "genesys_event_worker.jobs"
"""Entry points of installed jobs: each names a `Job`."""

BUILT_IN = ("voice", "attributes", "workflow", "sentiment", "reports", "forward")
"""Folders of `worker.jobs`, in the order of all lists."""

GENESYS_CREDENTIALS = ("GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET")

GENESYS_UPSTREAMS = frozenset({"login", "transcripts", *GENESYS})
"""The upstreams that Genesys Cloud is."""

_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")


BOX = "genesys-event-worker"
"""The distribution that the jobs of the box come with."""


@cache
def known_jobs() -> Mapping[str, Job[Any]]:
    """Return all jobs by name. Raises ConfigurationError for a declaration that cannot hold."""
    return {name: found.job for name, found in _found().items()}


def distribution_of(name: str) -> str:
    """Return the name of the distribution that a known job comes with."""
    return _found()[name].distribution


class _Found(Struct, frozen=True):
    job: Job[Any]
    distribution: str


@cache
def _found() -> Mapping[str, _Found]:
    found = [_Found(import_module(f"worker.jobs.{name}").JOB, BOX) for name in BUILT_IN]
    found += [_installed(entry) for entry in sorted(entry_points(group=GROUP))]
    problems = list(_problems([one.job for one in found]))
    if problems:
        raise ConfigurationError(problems)
    return {one.job.name: one for one in found}


def _installed(entry: EntryPoint) -> _Found:
    return _Found(_loaded(entry), entry.dist.name if entry.dist else entry.module)


def _loaded(entry: EntryPoint) -> Job[Any]:
    try:
        job = entry.load()
    except Exception as error:
        raise ConfigurationError([f"job {entry.name}: {type(error).__name__}: {error}"]) from error
    if not isinstance(job, Job):
        raise ConfigurationError([f"job {entry.name}: {entry.value} is no worker.api.Job"])
    return job


def jobs_on(settings: Settings) -> Iterator[Job[Any]]:
    """Yield the declarations of the jobs that are on."""
    return (known_jobs()[name] for name in settings.enabled_jobs())


def installed(settings: Settings) -> list[Job[Any]]:
    """Return the jobs that are on and come from another distribution."""
    return [job for job in jobs_on(settings) if job.name not in BUILT_IN]


def title(job: Job[Any]) -> str:
    """Return the name of a job's findings, where it gives none."""
    return f"job {job.name}"


def named(place: str, job: str) -> Any:
    """Return what stands at `module:name`, as a declaration gives it.

    Raises ConfigurationError when the job's declaration names nothing there.
    """
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError([f"job {job}: {place}: {error}"]) from error


def _problems(jobs: Iterable[Job[Any]]) -> Iterable[str]:
    taken: dict[str, str] = dict.fromkeys(core.GROUPS, "the worker")
    fields: dict[str, str] = {}
    for job in jobs:
        if not _NAME.fullmatch(job.name):
            yield f"job {job.name!r}: a name is lower case, e.g. presence"
        if owner := taken.get(job.name):
            yield f"job {job.name}: the name is taken by {owner}"
        taken[job.name] = "another job of that name"
        for field in job.settings.model_fields:
            if owner := fields.get(field):
                yield f"job {job.name}: its setting {field.upper()} is job {owner}'s"
            fields[field] = job.name
        yield from _without_fields(job)


def _without_fields(job: Job[Any]) -> Iterable[str]:
    named = [job.deadline, job.age_limit, job.degrade_after, *job.waits, *job.webhooks]
    named += [event.types for event in job.events]
    for field in named:
        if field is not None and field not in job.settings.model_fields:
            yield f"job {job.name}: its settings have no field {field}"


@cache
def declarations() -> Mapping[str, Declared]:
    """Return what the jobs say of their settings."""
    return {name: declared(job) for name, job in known_jobs().items()}


def declared(job: Job[Any]) -> Declared:
    """Return what a job says of its settings."""
    return Declared(
        name=job.name,
        group=job.settings,
        requires=required_settings(job),
        types=tuple(event.types for event in job.events),
    )


def required_settings(job: Job[Any]) -> tuple[str, ...]:
    """Return the variables without which it is off."""
    return (*(GENESYS_CREDENTIALS if uses_genesys(job) else ()), *job.requires)


def uses_genesys(job: Job[Any], settings: Group | None = None) -> bool:
    """Return whether a job cannot be built without Genesys Cloud."""
    return bool(GENESYS_UPSTREAMS & {*needed(job, settings), *job.may_miss})


def needed(job: Job[Any], settings: Group | None = None) -> tuple[str, ...]:
    """Return the upstreams a job needs under these settings; None: as they are by default."""
    if not callable(job.needs):
        return tuple(job.needs)
    return tuple(job.needs(settings or job.settings()))


def topics(job: Job[Any], settings: Group | None = None) -> tuple[str, ...]:
    """Return the topics its events come from under these settings; None: as they are by default."""
    wanted = job.topics(settings or job.settings()) if callable(job.topics) else job.topics
    return tuple(wanted)


def permissions(job: Job[Any], settings: Group | None = None) -> dict[str, str]:
    """Return what each call of a job that it cannot do without takes, under these settings."""
    if not callable(job.permissions):
        return dict(job.permissions)
    return job.permissions(settings or job.settings())


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return all settings, those of the jobs too; see `worker.settings.load_settings`."""
    return core.load_settings(environ, declarations())


def describe(source: Settings | Mapping[str, str]) -> list[Row]:
    """Return a row per setting, those of the jobs too; see `worker.settings.describe`."""
    return core.describe(source, declarations())


def unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a warning for each variable that looks like a misspelt setting."""
    return core.unknown_settings(environ, declarations())


def event_reader(settings: Settings) -> EventReader:
    """Return what reads bodies as the events of all known jobs, by the globs in force."""
    return EventReader(wanted_events(settings.jobs), settings.genesys.organization_id)


def reader_of(job: Job[Any], settings: Settings) -> EventReader:
    """Return what reads bodies as the events of one job, known or not."""
    wanted = list(wanted_of(job, settings.jobs[job.name]))
    return EventReader(wanted, settings.genesys.organization_id)


def jobs_of(detail_type: str, groups: Mapping[str, Group]) -> frozenset[str]:
    """Return the known jobs to which events of a type belong, by their settings in `groups`."""
    return EventReader(wanted_events(groups)).jobs_of(detail_type)


def wanted_events(groups: Mapping[str, Group] | None = None) -> list[Wanted]:
    """Return the events of all known jobs, whether they are on or not.

    `groups`: their settings, by job; None: as they are by default.
    """
    if groups is None:
        groups = {name: job.settings() for name, job in known_jobs().items()}
    return [one for name, job in known_jobs().items() for one in wanted_of(job, groups[name])]


def wanted_of(job: Job[Any], settings: Group) -> Iterator[Wanted]:
    """Yield the events of a job, by the globs of its settings."""
    for event in job.events:
        yield Wanted(job=job.name, globs=getattr(settings, event.types), event=event)


def catalogue(groups: Mapping[str, Group] | None = None) -> list[dict[str, Any]]:
    """Return each known job, in the order of all lists.

    `groups`: their settings, by job; None: as they are by default.
    """
    known = known_jobs().values()
    return [_entry(job, groups[job.name] if groups else job.settings()) for job in known]


def topics_of(jobs: tuple[str, ...], groups: Mapping[str, Group] | None = None) -> tuple[str, ...]:
    """Return the topics of Genesys Cloud that these jobs want: each once; of all jobs for none.

    `groups`: as for `catalogue`.
    """
    found = [(known_jobs()[name], name) for name in jobs or tuple(known_jobs())]
    wanted = [topics(job, groups[name] if groups else None) for job, name in found]
    return tuple(dict.fromkeys(topic for one in wanted for topic in one))


def _entry(job: Job[Any], settings: Group) -> dict[str, Any]:
    return {
        "name": job.name,
        "summary": job.summary,
        "distribution": distribution_of(job.name),
        "requires": list(required_settings(job)),
        "settings": [variable_name(job.settings, field) for field in job.settings.model_fields],
        "topics": list(topics(job, settings)),
        "detail_types": [glob for one in job.events for glob in getattr(settings, one.types)],
        "needs": list(needed(job, settings)),
        "may_miss": list(job.may_miss),
        "permissions": permissions(job, settings),
        "optional_permissions": dict(job.optional_permissions),
        "aws_services": list(job.aws_services),
        "aws_actions": dict(job.aws_actions),
        "webhooks": [variable_name(job.settings, field) for field in job.webhooks],
        "bus_events": [{"source": source, "detail_type": kind} for source, kind in job.bus_events],
        "background": job.background,
    }
