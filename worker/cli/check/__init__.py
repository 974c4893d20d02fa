"""`worker check`: would the worker run here? A finding per fact, with what to do.

`worker explain`: what the code of a finding means.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.exit_codes import FAILED, SUCCESS, UNREACHABLE, WRONG_USAGE

if TYPE_CHECKING:
    from worker.api import Finding

NAME_WIDTH = 36
"""Of the column of names: a longer one is folded, so that 80 columns leave as much to the rest."""

NARROW = 72
"""Columns of a terminal below which a table would break up its words."""

COLOURS = {"ok": "green", "untried": "cyan", "warn": "yellow", "fail": "red"}
"""States in the order of the findings: failures last, where a terminal shows the end of a table."""

WORDS = {"untried": "not tried"}


def check(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail for warnings and for what was not tried, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check settings, queues, and all upstreams of the jobs that are on.

    AWS is checked by calls that it must refuse, Genesys by reads, the CRM by looking up a
    conversation that does not exist; webhooks are reached and not called. Nothing is sent, received
    or changed. What cannot be tried so is listed, with the command that finds it out.
    """
    from worker.api import ConfigurationError
    from worker.app.jobs import load_settings
    from worker.cli.check.plan import findings_of, problem_findings
    from worker.telemetry.logs import configure_logging

    configure_logging("error", "auto", sys.stderr)
    try:
        findings, bad_settings = asyncio.run(findings_of(load_settings())), False
    except ConfigurationError as error:
        findings, bad_settings = problem_findings(error.problems), True
    findings = sorted(findings, key=lambda one: list(COLOURS).index(one.state))
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in findings], indent=2))
    else:
        _print_commands(findings)
        _print_table(findings)
        typer.echo(summary_of(findings))
    raise typer.Exit(WRONG_USAGE if bad_settings else exit_code(findings, strict=strict))


def exit_code(findings: "Sequence[Finding]", *, strict: bool = False) -> int:
    """Return 3 when all that fails is out of reach: its settings may be correct.

    `strict`: what is neither ok nor a failure counts as one.
    """
    from worker.cli.check.plan import is_out_of_reach

    failed = [one for one in findings if one.state == "fail"]
    other = [one for one in findings if strict and one.state in {"untried", "warn"}]
    if failed and not other and all(map(is_out_of_reach, failed)):
        return UNREACHABLE
    return FAILED if failed or other else SUCCESS


def summary_of(findings: "Sequence[Finding]") -> str:
    """Return how many are ok, and how many are not."""
    count = Counter(one.state for one in findings)
    warnings = f"{count['warn']} warning{'' if count['warn'] == 1 else 's'}"
    return f"{count['ok']} ok, {count['untried']} not tried, {warnings}, {count['fail']} failed"


def _has_command(one: "Finding") -> bool:
    return one.state == "untried" and one.permission is not None


def _print_commands(findings: "Sequence[Finding]") -> None:
    """Print the commands for what was not tried, each on a line: a table would break them up."""
    commands = [one.remedy for one in findings if _has_command(one)]
    if commands:
        typer.echo("No call without an effect shows some permissions; these commands ask IAM:")
        typer.echo("".join(f"\n  {one}\n" for one in commands))


def _print_table(findings: "Sequence[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # The remedy below what was found: most have none, and a further column leaves no width.
    table = Table(box=None, show_header=False, pad_edge=False)
    for width in (None, None, NAME_WIDTH, None):
        table.add_column(max_width=width, overflow="fold")
    console = Console()
    for one in findings:
        remedy = "run the command above" if _has_command(one) else one.remedy
        state = Text(WORDS.get(one.state, one.state), style=COLOURS[one.state])
        found = Text(one.found).append(f"\n→ {remedy}" if remedy else "", style="bold")
        code, name = Text(one.code, style="dim"), Text(one.name)
        if console.width < NARROW:
            console.print(Text(" ").join((state, code, name.append(":"), found)))
        else:
            table.add_row(state, code, name, found)
    console.print(table)


def explain(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", help="Of a finding; without it all are listed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what the code of a finding means, and what to do about it."""
    from msgspec import to_builtins

    from worker.findings import EXPLANATIONS

    known = {one.code: one for one in EXPLANATIONS}
    if code is not None and code.upper() not in known:
        near = get_close_matches(code.upper(), known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise typer.BadParameter(f"no code is {code!r}: {hint}`worker explain` lists all")
    found = [one for one in EXPLANATIONS if code is None or one.code == code.upper()]
    if as_json:
        typer.echo(json.dumps(to_builtins(found), indent=2))
    elif code is None:
        typer.echo("\n".join(f"{one.code}  {', '.join(one.names)}" for one in found))
    else:
        [one] = found
        names = ", ".join(one.names)
        typer.echo(f"{one.code}  {names}\n\n{one.means}\n\nWhat to do: {one.remedy}")
