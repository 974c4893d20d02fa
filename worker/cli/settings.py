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
        _print(rows)
        for queue in queues:
            typer.echo(f"queue {queue['name']}: {', '.join(queue['jobs'])}")
        for line in [*problems, *warnings]:
            typer.echo(line, err=True)
    sys.exit(2 if problems else 0)


def _print(rows: "list[Row]") -> None:
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
