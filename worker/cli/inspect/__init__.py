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
    body: Annotated[
        bool, typer.Option("--body", help="With --live: show all values; they are personal data.")
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

    With --live the handler of each job that is on runs against the real upstreams, and what it
    would write or send is shown in place of being written: items, inputs of executions, events,
    attributes, bodies of webhooks. Values are hidden unless --body is given. It takes requests from
    the budget as the worker does; of a report it reads the whole interval.

    The command fails when an event would not be handled, or an attribute would be left out.
    """
    from worker.cli.inspect.findings import inspected
    from worker.cli.send import events_of
    from worker.telemetry.logs import configure_logging

    if (crm is None) is not (schema is None) or (live and crm is not None):
        raise typer.BadParameter("give --live, or --crm and --schema, or none of them")
    if body and not live:
        raise typer.BadParameter("--body goes with --live")
    configure_logging("error", "auto", sys.stderr)
    bodies = [event.body for event in events_of(file)]
    files = {"crm": crm, "schema": schema} if crm and schema else {}
    found = asyncio.run(inspected(bodies, files=files, live=live))
    if as_json:
        typer.echo(json.dumps([one.as_dict(body=body) for one in found], indent=2))
    else:
        _print(found, body=body)
    raise typer.Exit(0 if all(one.passed for one in found) else 1)


def _print(found: "Sequence[Finding]", *, body: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        _line(console, "bold" if one.passed else "bold red", one.event)
        job = f"{one.job} ({one.state})" if one.job else "none"
        _line(console, "", f"  job            {job}")
        for name, value in {**one.facts, **one.effects}.items():
            _line(console, "", f"  {name:<14} {value}")
        shown = one.shown(body=body)
        for state, word, text in shown.lines if shown else ():
            _line(console, COLOURS[state], f"  {word:<14} {text}")
        for write in one.written(body=body) or ():
            _print_write(console, write)
        if one.result is not None:
            _line(console, "", f"  result         {one.result}; nothing was written")
        if one.note is not None:
            _line(console, "", f"  live           {one.note}")
        if one.problem is not None:
            _line(console, "red", f"  problem        {one.problem}")


def _print_write(console: "Console", write: dict[str, Any]) -> None:
    """Print a call and its content, JSON in it as such."""
    from worker.cli.inspect.findings import decoded

    _line(console, "bold", f"  would call     {write.pop('to')}: {write.pop('call')}")
    for name, value in write.items():
        text = json.dumps(decoded(value), indent=2, ensure_ascii=False)
        first, *rest = text.splitlines()
        _line(console, "", f"    {name}: {first}")
        for line in rest:
            _line(console, "", f"    {line}")


def _line(console: "Console", style: str, text: str) -> None:
    """Print one line; what stands in it is text, and never markup or an escape sequence."""
    from rich.text import Text

    from worker.telemetry.scrub import escape

    line: Any = Text(escape(text), style=style)
    console.print(line)
