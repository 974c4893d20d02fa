"""From environment variables to settings; every problem at once, never with a value."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from worker.errors import ConfigurationError
from worker.settings.fields import Group
from worker.settings.rules import broken_rules, unmet_needs
from worker.settings.tree import GROUPS, Settings, variable_name

G = TypeVar("G", bound=Group)

SIMILAR = 0.85
"""Likeness (difflib) from which an unknown variable counts as a misspelt setting."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return all settings from `environ` (None: the process's own).

    Raises `ConfigurationError` that names every bad field of every group.
    """
    environ = _environ(environ)
    groups, problems = load_groups(environ)
    present = {name.upper() for name, value in environ.items() if value}
    problems += unmet_needs(groups, present.__contains__)
    problems += broken_rules(groups, present.__contains__)
    if problems:
        raise ConfigurationError(problems)
    return Settings(**groups)  # type: ignore[arg-type]  # keyed by the fields of Settings


def load_group(kind: type[G], environ: Mapping[str, str] | None = None) -> G:
    """Return one group, for commands that need no more; raises as `load_settings` does."""
    try:
        return _read(kind, _environ(environ))
    except ValidationError as error:
        raise ConfigurationError(_problems_of(kind, error)) from None


def load_groups(environ: Mapping[str, str]) -> tuple[dict[str, Group], list[str]]:
    """Return the groups that are well, by name, and a line for each problem of the others."""
    groups: dict[str, Group] = {}
    problems: list[str] = []
    for name, kind in GROUPS.items():
        try:
            groups[name] = load_group(kind, environ)
        except ConfigurationError as error:
            problems += error.problems
    return groups, problems


def unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a warning for each variable that looks like a misspelt setting.

    Only what resembles a known name: Kubernetes puts variables such as `CACHE_SERVICE_HOST` into
    every container, named after services that are not ours. `AWS_`, `OTEL_`: their SDKs own these.
    """
    known = [variable_name(kind, field) for kind in GROUPS.values() for field in kind.model_fields]
    strangers = sorted(set(map(str.upper, _environ(environ))) - set(known))
    return [
        f"{name}: unknown; did you mean {match[0]}?"
        for name in strangers
        if not name.startswith(("AWS_", "OTEL_"))
        and (match := get_close_matches(name, known, 1, SIMILAR))
    ]


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
