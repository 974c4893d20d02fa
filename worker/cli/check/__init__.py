"""`worker check`: would the worker run here? A finding per fact, with what to do."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.exit_codes import FAILED, SUCCESS, UNREACHABLE, WRONG_USAGE

if TYPE_CHECKING:
    from worker.api import Finding

NAME_WIDTH = 36
"""Of the column of names: a longer one is folded, so that 80 columns leave as much to the rest."""

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check settings, queues, and all upstreams of the jobs that are on.

    AWS is checked by calls that it must refuse, Genesys by reads, the CRM by looking up a
    conversation that does not exist; webhooks are reached and not called. Nothing is sent, received
    or changed.
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
    # Failures last: where a terminal shows the end of a long table.
    findings = sorted(findings, key=lambda one: list(COLOURS).index(one.state))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings], indent=2))
    else:
        _print_table(findings)
        typer.echo(summary_of(findings))
    raise typer.Exit(WRONG_USAGE if bad_settings else _exit_code(findings))


def _exit_code(findings: "Sequence[Finding]") -> int:
    """Return 3 when all that fails is out of reach: its settings may be right."""
    from worker.clients.aws.errors import is_unreachable

    failed = [one.found.rpartition(": ")[2] for one in findings if one.state == "fail"]
    if not failed:
        return SUCCESS
    return UNREACHABLE if all(map(is_unreachable, failed)) else FAILED


def summary_of(findings: "Sequence[Finding]") -> str:
    """Return how many are ok, and how many are not."""
    count = Counter(one.state for one in findings)
    warnings = f"{count['warn']} warning{'' if count['warn'] == 1 else 's'}"
    return f"{count['ok']} ok, {warnings}, {count['fail']} failed"


def _print_table(findings: "Sequence[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # The remedy below what was found: most have none, and a fourth column leaves no width to three.
    table = Table(box=None, show_header=False, pad_edge=False)
    for width in (None, NAME_WIDTH, None):
        table.add_column(max_width=width, overflow="fold")
    for one in findings:
        remedy = f"\n→ {one.remedy}" if one.remedy else ""
        state = Text(one.state, style=COLOURS[one.state])
        table.add_row(state, Text(one.name), Text(one.found).append(remedy, style="bold"))
    Console().print(table)
