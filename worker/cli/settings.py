"""`worker settings`: every setting, its default and its value, secrets hidden."""

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from worker.settings import Row


def settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every setting, its default and its value; secrets are hidden."""
    # Imported late, as in every command: `worker --help` does not wait for pydantic.
    from worker.app.jobs import describe, load_settings, unknown_settings
    from worker.errors import ConfigurationError

    rows = describe(os.environ)
    queues: list[dict[str, Any]] = []
    warnings, problems = unknown_settings(os.environ), list[str]()
    try:
        loaded = load_settings(os.environ)
    except ConfigurationError as error:
        problems = error.problems
        warnings = [line for line in warnings if line not in problems]
    else:
        queues = [{"name": one.name, "jobs": one.jobs} for one in loaded.queues()]
        warnings += loaded.half_configured().values()
    if as_json:
        document = {
            "settings": [asdict(row) for row in rows],
            "queues": queues,
            "problems": problems,
            "warnings": warnings,
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        _print_table(rows)
        for queue in queues:
            typer.echo(f"queue {queue['name']}: {', '.join(queue['jobs'])}")
        for line in [*problems, *warnings]:
            typer.echo(line, err=True)
    sys.exit(2 if problems else 0)


def _print_table(rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("setting", no_wrap=True)
    for column in ("default", "value", "meaning"):
        table.add_column(column, overflow="fold")
    for row in rows:
        changed = row.value != row.default
        value = Text(row.value, style="bold" if changed else "dim")
        table.add_row(Text(row.name), Text(row.default, style="dim"), value, Text(row.doc))
    Console().print(table)
