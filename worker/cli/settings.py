"""`worker settings`: every setting, its default and its value, secrets hidden.

`worker schema`: the form of settings and events, for what checks them elsewhere; AsyncAPI too.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from worker.api import EventType, Job
    from worker.settings import Row

WIDTH = 98


class Format(StrEnum):
    """How the settings are printed."""

    TEXT = "text"
    ENV = "env"
    JSON = "json"
    MARKDOWN = "markdown"


def settings(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[PART]", help="Only settings with this in their names."),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only settings that differ from their defaults.")
    ] = False,
    form: Annotated[
        Format,
        typer.Option("--format", help="env: for a file that --env-file reads, without secrets."),
    ] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show every setting, its default and its value; secrets are hidden."""
    # Imported late, as in every command: `worker --help` does not wait for pydantic.
    from msgspec import to_builtins

    from worker.app.jobs import describe

    rows = _chosen(describe(os.environ), name or "", changed=changed)
    form = Format.JSON if as_json else form
    found = _judged()
    if form is Format.JSON:
        typer.echo(json.dumps({"settings": to_builtins(rows), **found}, indent=2))
    else:
        _PRINTED[form](rows)
        for queue in found["queues"] if form is Format.TEXT else ():
            typer.echo(f"queue {queue['name']}: {', '.join(queue['jobs'])}")
        for line in [*found["problems"], *found["warnings"]]:
            typer.echo(line, err=True)
    sys.exit(2 if found["problems"] else 0)


def _judged() -> dict[str, Any]:
    """Return the queues and what is wrong, as the daemon would find it."""
    from worker.app.jobs import load_settings, unknown_settings
    from worker.errors import ConfigurationError

    warnings = unknown_settings(os.environ)
    try:
        loaded = load_settings(os.environ)
    except ConfigurationError as error:
        problems = error.problems
        warnings = [line for line in warnings if line not in problems]
        return {"queues": [], "problems": problems, "warnings": warnings}
    queues = [{"name": one.name, "jobs": one.jobs} for one in loaded.queues()]
    warnings += loaded.half_configured().values()
    return {"queues": queues, "problems": [], "warnings": warnings}


def _chosen(rows: "Sequence[Row]", part: str, *, changed: bool) -> "list[Row]":
    named = [row for row in rows if part.upper() in row.name]
    if not named:
        raise typer.BadParameter(f"no setting has {part} in its name")
    return [row for row in named if row.is_changed or not changed]


def _print(rows: "Sequence[Row]") -> None:
    """Print a line and its meaning per setting: four columns would not fit in 80 characters."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for row in rows:
        line = Text(row.name, style="bold").append(f"  {row.value or 'not set'}", style="default")
        if row.default and row.value != row.default:
            line.append(f"  (default: {row.default})" if row.value else f"  ({row.default})")
        console.print(line, soft_wrap=True)
        console.print(Padding(Text(row.doc), (0, 0, 0, 4)))


def env_text(rows: "Sequence[Row]") -> str:
    """Return NAME=value lines as --env-file reads them; what has its default is a comment.

    Secrets, values in files and bad values are left out.
    """
    return "\n".join(line for row in rows for line in _env_lines(row))


def _env_lines(row: "Row") -> Iterator[str]:
    from worker.settings import REQUIRED

    yield from wrap(row.doc, WIDTH, initial_indent="# ", subsequent_indent="# ")
    if row.default == REQUIRED and not row.value:
        yield f"{row.name}="
    elif not row.is_changed:
        yield f"# {row.name}={_quoted(row.value)}"
    elif row.can_be_copied:
        yield f"{row.name}={_quoted(row.value)}"
    else:
        yield f"# {row.name}=  is set, and not shown"
    yield ""


def _quoted(value: str) -> str:
    """Return the value as python-dotenv and Compose read it back."""
    if not any(character in value for character in " #'\"\\$"):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def markdown_text(rows: "Sequence[Row]") -> str:
    """Return a table of Markdown."""
    titles = ["| setting | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*titles, *(_cells(row) for row in rows)])


def _cells(row: "Row") -> str:
    coded = (f"`{text}`" if text else "" for text in (row.name, row.value, row.default))
    cells = (" ".join(cell.split()).replace("|", "\\|") for cell in (*coded, row.doc))
    return f"| {' | '.join(cells)} |"


_PRINTED: "dict[Format, Callable[[Sequence[Row]], None]]" = {
    Format.TEXT: _print,
    Format.ENV: lambda rows: typer.echo(env_text(rows)),
    Format.MARKDOWN: lambda rows: typer.echo(markdown_text(rows)),
}


def schema(
    job: Annotated[
        str | None, typer.Option("--job", help="Only its settings and its events.")
    ] = None,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="One AsyncAPI 3.0 document: queues, bus, messages.")
    ] = False,
) -> None:
    """Print JSON Schemas of the settings, of the events of each job, and of what it puts on a bus.

    Events are described as the jobs have them once they are read from either form. Of what is put
    on a bus the schema is null where its job declares none.
    """
    from worker.app.jobs import known_jobs
    from worker.cli.asyncapi import document as asyncapi_document

    if job is not None and job not in known_jobs():
        raise typer.BadParameter(f"there is no job {job}: worker jobs lists all")
    jobs = [one for name, one in known_jobs().items() if job in {None, name}]
    puts = [entry for one in jobs for entry in _put_schemas(one)]
    document = asyncapi_document(jobs, puts) if asyncapi else _schemas(job, jobs, puts)
    typer.echo(json.dumps(document, indent=2))


DRAFT = "https://json-schema.org/draft/2020-12/schema"


def _schemas(
    job: str | None, jobs: "Sequence[Job[Any]]", puts: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "settings": _settings_schema(job),
        "events": {one.name: [_event_schema(event, one) for event in one.events] for one in jobs},
        "puts": puts,
    }


def _settings_schema(job: str | None) -> dict[str, Any]:
    """Return the schema of an environment: a property per variable, of the type it is read as."""
    from worker.app.jobs import declarations
    from worker.settings import groups_of, variable_name

    properties: dict[str, Any] = {}
    required: list[str] = []
    definitions: dict[str, Any] = {}
    for name, group in groups_of(declarations()).items():
        if job not in {None, name}:
            continue
        found = group.model_json_schema()
        definitions |= found.get("$defs", {})
        for field, info in group.model_fields.items():
            variable = variable_name(group, field)
            properties[variable] = found["properties"][field] | {"title": variable}
            required += [variable] if info.is_required() else []
    whole = {"$schema": DRAFT, "type": "object", "properties": properties, "required": required}
    return whole | ({"$defs": definitions} if definitions else {})


def _event_schema(event: "EventType", job: "Job[Any]") -> dict[str, Any]:
    import msgspec

    return {
        "event": event.kind.__name__,
        "detailTypes": list(getattr(job.settings(), event.types)),
        "schema": {"$schema": DRAFT, **msgspec.json.schema(event.kind)},
    }


def _put_schemas(job: "Job[Any]") -> "Iterator[dict[str, Any]]":
    """Yield what a job puts on a bus; a file of its `schemas` says of which types it is."""
    from importlib.resources import files

    folder = files(job.build.__module__).joinpath("schemas")
    found = [json.loads(one.read_text()) for one in folder.iterdir()] if folder.is_dir() else []
    by_type = {kind: one for one in found for kind in one.get("x-detail-types", ())}
    for source, kind in job.bus_events:
        schema = by_type.get(kind)
        yield {"job": job.name, "source": source, "detailType": kind, "schema": schema}
