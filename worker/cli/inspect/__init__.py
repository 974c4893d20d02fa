"""`worker inspect`: what would be done with this event, and why; nothing is done."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from worker.cli.inspect.findings import Finding

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "note": ""}


def inspect(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON, one event, or JSON Lines; - reads stdin.")
    ],
    live: Annotated[
        bool,
        typer.Option("--live", help="Ask the upstreams of its job; nothing is written."),
    ] = False,
    crm: Annotated[
        Path | None, typer.Option(help="File with the CRM's answer; goes with --schema.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="File with a flow of either dialect, or a JSON Schema.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what the worker makes of an event: its job, its ids, the attribute report.

    The report shows the customer's values. The command fails when an event would not be handled, or
    an attribute would be left out.
    """
    from worker.cli.inspect.findings import inspected
    from worker.cli.send import events_of
    from worker.telemetry.logs import configure_logging

    if (crm is None) is not (schema is None) or (live and crm is not None):
        raise typer.BadParameter("give --live, or --crm and --schema, or none of them")
    configure_logging("error", "auto", sys.stderr)
    bodies = [event.body for event in events_of(file)]
    files = {"crm": crm, "schema": schema} if crm and schema else {}
    found = asyncio.run(inspected(bodies, files=files, live=live))
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in found], indent=2))
    else:
        _print(found)
    raise typer.Exit(0 if all(one.passed for one in found) else 1)


def _print(found: "Sequence[Finding]") -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        _line(console, "bold" if one.passed else "bold red", one.event)
        job = f"{one.job} ({one.state})" if one.job else "none"
        _line(console, "", f"  job            {job}")
        for name, value in {**one.facts, **one.effects}.items():
            _line(console, "", f"  {name:<14} {value}")
        for state, word, text in one.inspection.lines if one.inspection else ():
            _line(console, COLOURS[state], f"  {word:<14} {text}")
        if one.note is not None:
            _line(console, "", f"  live           {one.note}")
        if one.problem is not None:
            _line(console, "red", f"  problem        {one.problem}")


def _line(console: "Console", style: str, text: str) -> None:
    """Print one line; what stands in it is text, and never markup or an escape sequence."""
    from rich.text import Text

    from worker.telemetry.scrub import escape

    line: Any = Text(escape(text), style=style)
    console.print(line)
