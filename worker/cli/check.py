"""`worker check`: would the worker run here? One row per fact, with what to do."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from worker.cli.preflight.rows import Row

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check settings, queues, and all that the handlers which are on will call.

    AWS by calls that it must refuse, Genesys by reads; the CRM is asked for nobody, webhooks are
    reached and not called. Sends, receives and changes nothing.
    Exit code: 0 all well, 1 a check failed, 2 bad settings.
    """
    from worker.app.jobs import load_settings
    from worker.cli.preflight.run import preflight, problem_rows
    from worker.errors import ConfigurationError
    from worker.telemetry.logs import configure_logging

    configure_logging("error", "auto", sys.stderr)
    try:
        rows, bad_settings = asyncio.run(preflight(load_settings())), False
    except ConfigurationError as error:
        rows, bad_settings = problem_rows(error.problems), True
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print_table(rows)
    failed = any(row.state == "fail" for row in rows)
    raise typer.Exit(2 if bad_settings else int(failed))


def _print_table(rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("check", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for row in rows:
        state = Text(row.state, style=COLOURS[row.state])
        table.add_row(Text(row.name), state, Text(row.found), Text(row.remedy))
    Console().print(table)
