"""From environment variables to settings; every problem at once, never with a value.

Rules between settings of different fields are pure: groups in, problems out.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from worker.errors import ConfigurationError
from worker.settings.bindings import binding_problems, dead_letter_problems, entries_of
from worker.settings.fields import Group
from worker.settings.groups import Genesys, Handler, Handlers, Retry, Sqs
from worker.settings.tree import (
    GROUPS,
    Declarations,
    Settings,
    missing,
    unknown_jobs,
    unmet_needs,
    variable_name,
)

EXTENSIONS_PER_SECOND = 200
"""Leases the heartbeat can surely extend: 20 connections, ten entries a call, one second each."""


def heartbeat_capacity(visibility_seconds: float) -> int:
    """Return how many leases one heartbeat can keep.

    Leases are extended before half of their time is gone. The round over all of them gets half of
    that: a round that takes longer meets leases which ended while they waited for their turn.
    """
    return int(EXTENSIONS_PER_SECOND * visibility_seconds / 4)


def broken_rules(
    groups: Mapping[str, Group], lacking: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield a line for each broken rule; a rule whose groups did not load is not checked.

    `lacking`: each known job with the settings it lacks.
    """
    for rule in (_drain, _heartbeat, _dead_letters, _genesys, _backoff):
        yield from rule(groups)
    yield from _bindings(groups, lacking)


def _bindings(groups: Mapping[str, Group], lacking: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs, "handlers": Handlers(handlers=named)}:
            on = named or tuple(job for job, needs in lacking.items() if not needs)
            entries = entries_of(sqs.queue_url)
            for problem in binding_problems(entries, lacking, on) if on else ():
                yield f"SQS_QUEUE_URL: {problem}"
            if len(entries) > sqs.concurrency:
                yield (
                    f"SQS_CONCURRENCY: must be at least {len(entries)}, the number of queues in "
                    "SQS_QUEUE_URL — each is polled on a permit of its own"
                )


def _dead_letters(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs}:
            entries = entries_of(sqs.queue_url)
            dead_letters = entries_of(sqs.dead_letter_queue_url or "")
            for problem in dead_letter_problems(entries, dead_letters):
                yield f"SQS_DEAD_LETTER_QUEUE_URL: {problem}"


def _drain(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs} if sqs.wait_seconds >= sqs.drain_seconds:
            yield (
                "SQS_WAIT_SECONDS: must be less than SQS_DRAIN_SECONDS — a running poll is never "
                "cut, so it would eat the whole shutdown"
            )


def _heartbeat(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs(visibility_seconds=int(visibility)) as sqs}:
            if sqs.concurrency > (capacity := heartbeat_capacity(visibility)):
                yield (
                    f"SQS_CONCURRENCY: must be at most {capacity} with this SQS_VISIBILITY_SECONDS "
                    "— the heartbeat could not extend more leases in time"
                )


def _genesys(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"genesys": Genesys() as genesys, "handler": Handler() as handler}:
            if genesys.deadline_seconds >= handler.deadline_seconds:
                yield (
                    "GENESYS_DEADLINE_SECONDS: must be less than HANDLER_DEADLINE_SECONDS — the "
                    "handler would be cancelled before the call gives up"
                )
            if genesys.timeout_seconds > genesys.deadline_seconds:
                yield "GENESYS_TIMEOUT_SECONDS: must not exceed GENESYS_DEADLINE_SECONDS"


def _backoff(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"retry": Retry() as retry} if retry.base_seconds > retry.cap_seconds:
            yield "RETRY_BASE_SECONDS: must not exceed RETRY_CAP_SECONDS"


SIMILAR = 0.85
"""Likeness (difflib) from which an unknown variable counts as a misspelt setting."""

WRONG_NAMES = {
    "QUEUE_URL": "SQS_QUEUE_URL",
    "SQS_URL": "SQS_QUEUE_URL",
    "DLQ_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_DLQ_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_DEAD_LETTER_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "GENESYS_REGION": "GENESYS_ENVIRONMENT",
    "GENESYS_DOMAIN": "GENESYS_ENVIRONMENT",
    "GENESYS_DATA_ACTION_ID": "GENESYS_ACTION_ID",
    "DYNAMODB_TABLE_NAME": "DYNAMODB_TABLE",
    "STATE_MACHINE_ARN": "STEP_FUNCTIONS_ARN",
    "REPORT_BUCKET_NAME": "REPORT_BUCKET",
    "REPORTS_BUCKET": "REPORT_BUCKET",
    "CRM_ENDPOINT": "CRM_API_ENDPOINT",
    "CRM_API_URL": "CRM_API_ENDPOINT",
}
"""Names that people give, too far from the right ones for difflib."""

OTHERS = ("AWS_", "OTEL_")
"""Their SDKs own these."""

_OF_KUBERNETES = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_|$)|_PORT_\d+_(TCP|UDP|SCTP)")
"""In the name of a variable that Kubernetes puts into every container, for a service of a name."""


def near_names(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return each variable of `names` that resembles a known setting, with that setting.

    One of `WRONG_NAMES` counts only while the right one is missing: others use such names, too.
    """
    given = {name.upper() for name in names}
    found = {}
    for name in sorted(given.difference(known)):
        if name.startswith(OTHERS) or _OF_KUBERNETES.search(name):
            continue
        if (meant := WRONG_NAMES.get(name)) is not None:
            if meant not in given:
                found[name] = meant
        elif (matches := get_close_matches(name, known, 1, SIMILAR)) and _alike(name, matches[0]):
            found[name] = matches[0]
    return found


def _alike(name: str, meant: str) -> bool:
    # Kubernetes again: the service `step-functions` is the variable STEP_FUNCTIONS_PORT.
    return not name.endswith("_PORT") or meant.endswith("_PORT")


def unknown_lines(near: dict[str, str]) -> list[str]:
    """Return a line for each, as the text of a warning."""
    return [f"{name}: unknown; did you mean {meant}?" for name, meant in near.items()]


G = TypeVar("G", bound=Group)

NO_JOBS: Declarations = MappingProxyType({})


def load_settings(
    environ: Mapping[str, str] | None = None, jobs: Declarations = NO_JOBS
) -> Settings:
    """Return all settings from `environ` (None: the process's own), those of the jobs too.

    Raises `ConfigurationError` that names every bad field of every group, and then every variable
    that looks like a misspelt setting: it may be the cause.
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
    """Return the valid groups, by name, and a line for each problem of the others."""
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
