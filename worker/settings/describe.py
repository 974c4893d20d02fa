"""Every setting as a table: for `worker settings` and for README."""

import re
from collections.abc import Mapping

from msgspec import Struct
from pydantic import SecretStr

from worker.settings.faults import is_secret
from worker.settings.fields import Group, doc_of, variable_name
from worker.settings.load import FILE, NO_JOBS, groups_of, load_groups, texts_of
from worker.settings.tree import Declarations, JobSettings, Settings

HIDDEN = "********"
NOT_SHOWN = "(bad, not shown)"
FROM_FILE = "(in a file)"
REST = "/…"
"""In place of path and query of a URL."""

REQUIRED = "required"
"""In place of a default."""


class Row(Struct, frozen=True, kw_only=True):
    """One setting as people read it."""

    name: str
    default: str
    """Empty when unset is the default; `required` when there is none."""

    value: str
    """What is in force; secrets are hidden, bad values are not shown."""

    doc: str

    @property
    def is_changed(self) -> bool:
        """Whether another value than the default is in force."""
        return self.value != (self.default if self.default != REQUIRED else "")

    @property
    def can_be_copied(self) -> bool:
        """Whether the value is what was set, and not a word in its place."""
        return self.value not in {HIDDEN, NOT_SHOWN, FROM_FILE} and REST not in self.value


def describe(source: Settings | Mapping[str, str], jobs: Declarations = NO_JOBS) -> list[Row]:
    """Return a row per setting, in reading order; takes an environment too, however bad it is.

    `jobs`: whose settings are to be shown beside the core's, for an environment.
    """
    if isinstance(source, Settings):
        return [row for group in source.groups() for row in _rows_of(group)]
    groups, problems = load_groups(source, jobs)
    bad = {problem.split(":")[0] for problem in problems}
    return [
        row
        for name, kind in groups_of(jobs).items()
        for row in (_rows_of(groups[name]) if name in groups else _raw_rows(kind, source, bad))
    ]


def _rows_of(group: Group) -> list[Row]:
    kind = type(group)
    return [_row(kind, name, _shown(kind, getattr(group, name))) for name in kind.model_fields]


def _raw_rows(kind: type[Group], environ: Mapping[str, str], bad: set[str]) -> list[Row]:
    given = texts_of(environ)
    return [_row(kind, field, _raw(kind, field, given, bad)) for field in kind.model_fields]


def _raw(kind: type[Group], field: str, given: Mapping[str, str], bad: set[str]) -> str:
    info, variable = kind.model_fields[field], variable_name(kind, field)
    names = {variable, variable + FILE}
    if bad & names and names & given.keys():
        return NOT_SHOWN
    if variable in given:
        return HIDDEN if is_secret(info) else _shown(kind, given[variable])
    if variable + FILE in given:
        return FROM_FILE
    return "" if info.is_required() else _text(info.default)


def _row(kind: type[Group], field: str, value: str) -> Row:
    info = kind.model_fields[field]
    return Row(
        name=variable_name(kind, field),
        default=REQUIRED if info.is_required() else _text(info.default),
        value=value,
        doc=doc_of(kind, field),
    )


def _shown(kind: type[Group], value: object) -> str:
    """Return a value as text; of a job's URLs the hosts alone: a webhook's path is its password.

    Queues are named by their paths, and these open nothing. The core has no URL with a secret.
    """
    if not issubclass(kind, JobSettings):
        return _text(value)
    return re.sub(
        r"(https?://)(?:[^@/?#]*@)?(?!sqs\.)([^/?#,\s]+)[/?#][^,\s]+", _host, _text(value)
    )


def _host(url: re.Match[str]) -> str:
    return f"{url[1]}{url[2]}{REST}"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    # 5 and 5.0 are one value, and must look so beside their default.
    return f"{value:g}" if isinstance(value, float) else str(value)
