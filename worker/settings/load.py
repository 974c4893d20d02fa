"""From environment variables to settings; every problem at once, never with a secret.

Before its text is a value, a variable loses white space and quotes; `X_FILE` names a file that
holds the value of `X`, as Docker and Kubernetes mount secrets.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from stat import S_ISREG
from types import MappingProxyType
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource

from worker.errors import ConfigurationError
from worker.settings.faults import is_secret, problems_of
from worker.settings.fields import Group, variable_name
from worker.settings.groups import Handlers
from worker.settings.tree import (
    GROUPS,
    Declarations,
    Settings,
    broken_rules,
    missing,
    unknown_jobs,
    unmet_needs,
)

FILE = "_FILE"
"""Ending of the variable that names a file."""

MAX_FILE_BYTES = 64 * 1024


def cleaned(text: str) -> str:
    """Remove white space around a value, and one pair of quotes, as `docker --env-file` leaves.

    No setting begins and ends with them. White space is also what is not seen: the mark that
    editors put before a file, and what comes along from a web page.
    """
    text = _seen(text)
    return _seen(text[1:-1]) if len(text) > 1 and text[0] + text[-1] in _PAIRS else text


_UNSEEN = "\u200b\u200e\u200f\u2060\ufeff"
_PAIRS = ('""', "''", "\u201c\u201d", "\u2018\u2019")


def _seen(text: str) -> str:
    return text.strip().strip(_UNSEEN).strip()


def texts_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set, in upper case."""
    return {name.upper(): text for name, value in environ.items() if (text := cleaned(value))}


class FileSecret(SecretStr):
    """A secret that is read again when its file has changed: a rotation needs no restart.

    What cannot be read, or cannot be a secret (half a write), leaves the last one in force.
    """

    def __init__(self, path: Path) -> None:
        """Raise ValueError that says what is wrong with the file."""
        self._path = path
        self._seen = _stamp(path)
        super().__init__(read_file(path))

    def get_secret_value(self) -> str:
        """Return the secret as the file has it now."""
        seen = _stamp(self._path)
        if seen != self._seen:
            self._renew(seen)
        return super().get_secret_value()

    def _renew(self, seen: object) -> None:
        try:
            text = read_file(self._path)
        except ValueError:
            return
        if re.fullmatch(r"[ -~]+", text):
            self._secret_value, self._seen = text, seen


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_file(path: Path) -> str:
    """Return what a file says. Raises ValueError that says what is wrong with it."""
    content = _content_of(path)
    try:
        text = cleaned(content.decode())
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is no text in UTF-8") from None
    if not text:
        raise ValueError(f"{str(path)!r} is empty")
    return text


def _content_of(path: Path) -> bytes:
    try:
        if not S_ISREG(path.stat().st_mode):
            raise ValueError(f"{str(path)!r} is no file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{str(path)!r} is larger than {MAX_FILE_BYTES} bytes")
    return content


def names_given(environ: Mapping[str, str], known: Iterable[str]) -> set[str]:
    """Return the names of the variables that are set, be it by a file."""
    given = set(texts_of(environ))
    files = {name + FILE: name for name in known}
    return {files.get(name, name) for name in given}


SIMILAR = 0.85
"""Likeness (difflib) from which an unknown variable counts as a misspelt setting."""

WRONG_NAMES = {
    "QUEUE_URL": "SQS_QUEUE_URL",
    "SQS_QUEUE": "SQS_QUEUE_URL",
    "SQS_QUEUE_ARN": "SQS_QUEUE_URL",
    "SQS_URL": "SQS_QUEUE_URL",
    "DLQ_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_DLQ_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_DEAD_LETTER_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "GENESYS_SECRET": "GENESYS_CLIENT_SECRET",
    "GENESYSCLOUD_OAUTHCLIENT_ID": "GENESYS_CLIENT_ID",
    "GENESYSCLOUD_OAUTHCLIENT_SECRET": "GENESYS_CLIENT_SECRET",
    "GENESYSCLOUD_REGION": "GENESYS_ENVIRONMENT",
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
            continue
        plain = name.removesuffix(FILE)
        if (matches := get_close_matches(plain, known, 1, SIMILAR)) and _alike(name, matches[0]):
            found[name] = matches[0]
    return found


def _alike(name: str, meant: str) -> bool:
    # Kubernetes again: the service `step-functions` is the variable STEP_FUNCTIONS_PORT.
    return not name.endswith("_PORT") or meant.endswith("_PORT")


def unknown_lines(near: dict[str, str]) -> list[str]:
    """Return a line for each, as the text of a warning."""
    return [
        f"{name}: unknown; did you mean {meant}{FILE if name.endswith(FILE) else ''}?"
        for name, meant in near.items()
    ]


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
    known = variables_of(jobs)
    present = names_given(environ, known)
    if (named := _named(groups)) is not None:  # a misspelt name says nothing of the others
        problems += unmet_needs(jobs, named, present.__contains__)
    problems += broken_rules(groups, missing(jobs, present.__contains__))
    near = near_names(present, known)
    if problems:
        raise ConfigurationError(problems + unknown_lines(near))
    of_jobs = {name: groups.pop(name) for name in jobs}
    return Settings(**groups, jobs=of_jobs, declared=jobs, near_names=near)  # type: ignore[arg-type]  # keyed by its fields


def load_group(kind: type[G], environ: Mapping[str, str] | None = None) -> G:
    """Return one group, for commands that need no more; raises as `load_settings` does."""
    environ = _environ(environ)
    group, problems = _loaded(kind, environ)
    if group is None:
        own = {variable_name(kind, field) for field in kind.model_fields}
        known = variables_of(NO_JOBS)
        near = near_names(names_given(environ, known), known)
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
    if jobs and (unknown := list(unknown_jobs(jobs, _named(groups) or ()))):
        del groups["handlers"]
        problems += unknown
    return groups, problems


def _named(groups: Mapping[str, Group]) -> tuple[str, ...] | None:
    """Return the jobs that HANDLERS names; None where it was not valid."""
    group = groups.get("handlers")
    return group.handlers if isinstance(group, Handlers) else None


def groups_of(jobs: Declarations) -> dict[str, type[Group]]:
    """Return the groups of the core and those of the jobs, by name, in reading order."""
    return {**GROUPS, **{name: job.group for name, job in jobs.items()}}


def variables_of(jobs: Declarations) -> tuple[str, ...]:
    """Return the variables that are settings."""
    kinds = groups_of(jobs).values()
    return tuple(variable_name(kind, field) for kind in kinds for field in kind.model_fields)


def _loaded(kind: type[G], environ: Mapping[str, str]) -> tuple[G | None, list[str]]:
    texts = texts_of(environ)
    secrets, problems = _from_files(kind, texts)
    source = EnvSettingsSource(kind)
    source.env_vars = {name.lower(): text for name, text in texts.items()}
    try:
        group = kind(**{**source(), **secrets})
    except ValidationError as error:
        return None, problems + problems_of(kind, error, texts)
    return (None, problems) if problems else (group, [])


def _from_files(
    kind: type[Group], texts: dict[str, str]
) -> tuple[dict[str, FileSecret], list[str]]:
    """Add what files hold to `texts`; return the secrets among it, by field, and the problems."""
    secrets, problems = {}, []
    for field, info in kind.model_fields.items():
        name = variable_name(kind, field)
        path = texts.get(name + FILE)
        if path is None:
            continue
        if name in texts:
            problems.append(f"{name}: is set beside {name}{FILE}; remove one of them")
            continue
        try:
            if is_secret(info):
                secrets[field] = FileSecret(Path(path))
            texts[name] = read_file(Path(path))
        except ValueError as error:
            problems.append(f"{name}{FILE}: {error}")
    return secrets, problems


def unknown_settings(
    environ: Mapping[str, str] | None = None, jobs: Declarations = NO_JOBS
) -> list[str]:
    """Return a warning for each variable that looks like a misspelt setting."""
    known = variables_of(jobs)
    return unknown_lines(near_names(names_given(_environ(environ), known), known))


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ
