"""Dead letters on a terminal. Reasons come from a queue, so control characters are written out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.cli.dlq_letters import Cause, iso
from worker.cli.dlq_moving import Order, Tally, Tell
from worker.cli.dlq_work import Overview
from worker.telemetry.scrub import escape

DONE = {"redrive": "redriven", "delete": "deleted"}


def print_json(body: Any) -> None:
    """Print for a machine."""
    typer.echo(json.dumps(body, indent=2))


def print_overview(overview: Overview) -> None:
    """Print a row per cause."""
    _print_causes(overview.causes.most_first())
    line = f"{overview.causes.total} read of about {overview.approximate}."
    if overview.causes.total < overview.approximate:
        line += " The others are over --limit, in other hands, or behind those of their FIFO group."
    typer.echo(line)


def print_tally(order: Order, tally: Tally) -> None:
    """Print what was done, or would be."""
    _print_causes(tally.causes.most_first())
    if tally.newer:
        typer.echo(f"{tally.newer} came after the start, by this machine's clock; they stay.")
    for why, count in sorted(tally.unaddressed.items()):
        typer.echo(f"{count} without a queue: {why}. Send them by --to URL.", err=True)
    if not order.apply:
        count = tally.causes.total - tally.unaddressed.total()
        where = _destinations(tally)
        typer.echo(f"{count} would be {DONE[order.action]}{where}, {tally.others} others stay.")
        typer.echo("Nothing was changed. Add --apply to do it.")
        return
    typer.echo(
        f"{tally.done} {DONE[order.action]}{_destinations(tally)}, {tally.others} others stay."
    )
    if tally.failed:
        codes = ", ".join(sorted(tally.problems))
        typer.echo(
            f"{tally.not_sent} not sent, {tally.not_deleted} not deleted: {codes}. They stay.",
            err=True,
        )


def _destinations(tally: Tally) -> str:
    counts = [f"{escape(name)} {count}" for name, count in sorted(tally.destinations.items())]
    return f" ({', '.join(counts)})" if counts else ""


def print_letter(letter: dict[str, Any]) -> None:
    """Print a sample, a line per fact."""
    for name, value in letter.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                typer.echo(f"  {escape(str(key))}: {escape(str(inner))}")
        else:
            typer.echo(f"{name}: {escape(_text(value))}")
    typer.echo("")


@contextmanager
def shown() -> Iterator[Tell]:
    """Show how far it is; on stderr, and only where somebody looks."""
    with Console(stderr=True).status("reading") as status:
        yield lambda tally: status.update(
            f"{tally.done} done, {tally.others} others, {tally.not_sent} not sent"
        )


def _print_causes(causes: Sequence[Cause]) -> None:
    if not causes:
        return
    table = Table()
    for column in (
        "fingerprint",
        "count",
        "first failure",
        "last failure",
        "jobs",
        "queues",
        "reason",
    ):
        table.add_column(column, overflow="fold", no_wrap=column in {"fingerprint", "count"})
    for cause in causes:
        cells = (
            cause.fingerprint,
            str(cause.count),
            iso(cause.first_failure) or "",
            iso(cause.last_failure) or "",
            ", ".join(sorted(cause.jobs)),
            ", ".join(sorted(cause.queues)),
            cause.reason,
        )
        table.add_row(*(Text(escape(cell)) for cell in cells))
    Console().print(table)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
