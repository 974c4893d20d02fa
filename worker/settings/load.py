"""From environment variables to settings; every problem at once, never with a value."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from worker.errors import ConfigurationError
from worker.settings.fields import Group
from worker.settings.jobs import Declarations, missing, unknown_jobs, unmet_needs
from worker.settings.near_names import near_names, unknown_lines
from worker.settings.process import Handlers
from worker.settings.rules import broken_rules
from worker.settings.tree import GROUPS, Settings, variable_name

G = TypeVar("G", bound=Group)

NO_JOBS: Declarations = MappingProxyType({})


def load_settings(
    environ: Mapping[str, str] | None = None, jobs: Declarations = NO_JOBS
) -> Settings:
    """Return all settings from `environ` (None: the process's own), those of the jobs too.

    Raises `ConfigurationError` that names every bad field of every group, and then every variable
    that looks like a misspelt setting: it may well be the cause.
    """
    environ = _environ(environ)
    groups, problems = load_groups(environ, jobs)
    present = _present(environ)
    handlers = groups.get("handlers")
    named = handlers.handlers if isinstance(handlers, Handlers) else ()
    problems += unmet_needs(jobs, named, present.__contains__)
    problems += broken_rules(groups, missing(jobs, present.__contains__))
    near = near_names(present, variables_of(jobs))
    if problems:
        raise ConfigurationError(problems + unknown_lines(near))
    core = {name: group for name, group in groups.items() if name in GROUPS}
    of_jobs = {name: group for name, group in groups.items() if name in jobs}
    return Settings(**core, jobs=of_jobs, declared=jobs, near_names=near)  # type: ignore[arg-type]  # keyed by its fields


def load_group(kind: type[G], environ: Mapping[str, str] | None = None) -> G:
    """Return one group, for commands that need no more; raises as `load_settings` does."""
    environ = _environ(environ)
    group, problems = _loaded(kind, environ)
    if group is None:
        own = {variable_name(kind, field) for field in kind.model_fields}
        near = near_names(_present(environ), variables_of(NO_JOBS))
        meant = {name: setting for name, setting in near.items() if setting in own}
        raise ConfigurationError(problems + unknown_lines(meant))
    return group


def load_groups(
    environ: Mapping[str, str], jobs: Declarations = NO_JOBS
) -> tuple[dict[str, Group], list[str]]:
    """Return the groups that are well, by name, and a line for each problem of the others."""
    groups: dict[str, Group] = {}
    problems: list[str] = []
    for name, kind in groups_of(jobs).items():
        group, faults = _loaded(kind, environ)
        problems += faults
        if group is not None:
            groups[name] = group
    match groups:
        case {"handlers": Handlers(handlers=named)} if jobs:
            if unknown := list(unknown_jobs(jobs, named)):
                del groups["handlers"]
                problems += unknown
    return groups, problems


def groups_of(jobs: Declarations) -> dict[str, type[Group]]:
    """Return the groups of the core and those of the jobs, by name, in reading order."""
    return {**GROUPS, **{name: job.group for name, job in jobs.items()}}


def variables_of(jobs: Declarations) -> tuple[str, ...]:
    """Return the variables that are settings."""
    kinds = groups_of(jobs).values()
    return tuple(variable_name(kind, field) for kind in kinds for field in kind.model_fields)


def _loaded(kind: type[G], environ: Mapping[str, str]) -> tuple[G | None, list[str]]:
    try:
        return _read(kind, environ), []
    except ValidationError as error:
        return None, _problems_of(kind, error)


def unknown_settings(
    environ: Mapping[str, str] | None = None, jobs: Declarations = NO_JOBS
) -> list[str]:
    """Return a warning for each variable that looks like a misspelt setting."""
    return unknown_lines(near_names(_present(_environ(environ)), variables_of(jobs)))


def _present(environ: Mapping[str, str]) -> set[str]:
    return {name.upper() for name, value in environ.items() if value}


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _read(kind: type[G], environ: Mapping[str, str]) -> G:
    source = EnvSettingsSource(kind)
    source.env_vars = {name.lower(): value for name, value in environ.items() if value}
    return kind(**source())


def _problems_of(kind: type[Group], error: ValidationError) -> list[str]:
    return [
        _problem(kind, str(entry["loc"][0]), entry["type"], entry["msg"])
        if entry["loc"]
        else entry["msg"].removeprefix("Value error, ")
        for entry in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _problem(kind: type[Group], field: str, fault: str, message: str) -> str:
    name = variable_name(kind, field)
    if fault == "missing":
        doc = " ".join((kind.model_fields[field].description or "").split())
        return f"{name}: is missing — {doc[:1].lower() if doc[1:2].islower() else doc[:1]}{doc[1:]}"
    return f"{name}: {message.removeprefix('Value error, ')}"
