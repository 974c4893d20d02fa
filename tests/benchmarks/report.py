"""What was found, for people and for machines: tables, JSON, plots."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from tests.benchmarks.environments import NotInstalled, python_of
from tests.benchmarks.findings import Cell, Claim, Findings, Spread, Table
from tests.benchmarks.size import python_build

JSON = "benchmarks.json"
MARKDOWN = "README-figures.md"
PLOTTER = Path(__file__).parent / "plots.py"
WIDTH = 110
"""Columns of a report that goes to a file; a terminal has its own."""


def show(findings: Findings, console: Console) -> None:
    """Print tables with their notes, then the claims."""
    for table in findings.tables:
        console.print(_grid(table))
        for note in (*table.notes, *table.missing):
            console.print(Text(f"  {note}", style="dim"))
        console.print()
    for claim in findings.claims:
        console.print(Text(reported(claim), style="green" if claim.met else "bold red"))
    console.print()


def console() -> Console:
    """Return a console that is as wide as its terminal, or wide enough for a file."""
    wanted = Console()
    return wanted if wanted.is_terminal else Console(width=WIDTH)


def reported(claim: Claim) -> str:
    """Return a claim, its figure and its bound in a line."""
    word = "met" if claim.met else "NOT MET"
    return f"{word}: {claim.text}: {measured_of(claim)} (claimed: {aim_of(claim)})"


def aim_of(claim: Claim) -> str:
    """Return the bound of a claim."""
    return _with_unit(f"{'≥' if claim.at_least else '≤'} {claim.bound:g}", claim)


def measured_of(claim: Claim) -> str:
    """Return the figure of a claim, with its spread and how many rounds it is of."""
    count = len(claim.rounds.rounds)
    spread = f" ±{claim.rounds.width * 50:.0f}%" if count > 1 and not claim.worst else ""
    rounds = "one round" if count == 1 else f"{count} rounds"
    return f"{_with_unit(f'{claim.measured:.3g}{spread}', claim)} of {rounds}"


def _with_unit(text: str, claim: Claim) -> str:
    return f"{text} {claim.unit}" if claim.unit else text


def text_of(cell: Cell) -> str:
    """Return a cell as it is printed."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return str(cell)


def as_json(found: Mapping[str, Findings]) -> bytes:
    """Return everything, rounds of every figure included; a figure that is nan becomes null."""
    content = {name: _plain(findings) for name, findings in found.items()}
    # Not orjson's own way with dataclasses: a median is wanted beside the rounds.
    option = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS
    return orjson.dumps(content, default=_figure, option=option)


def as_markdown(found: Mapping[str, Findings]) -> str:
    """Return the claims, then all tables with their notes, as the README's last section."""
    claims = [claim for findings in found.values() for claim in findings.claims]
    rows = [
        [claim.text, aim_of(claim), measured_of(claim), "met" if claim.met else "**not met**"]
        for claim in claims
    ]
    machine = f"One run on {len(os.sched_getaffinity(0))} cores, Python {python_build()}."
    parts = ["## Figures", machine, _markdown(("claim", "aim", "measured", ""), rows).strip()]
    for table in (table for findings in found.values() for table in findings.tables):
        cells = [[text_of(cell) for cell in row] for row in table.rows]
        notes = "\n".join(f"- {note}" for note in (*table.notes, *table.missing))
        parts.append(f"### {table.title}\n\n{_markdown(table.columns, cells)}\n{notes}".strip())
    return "\n\n".join(parts) + "\n"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


async def write(found: Mapping[str, Findings], folder: Path, work: Path) -> str | None:
    """Write JSON, Markdown and plots; return why there are no plots, if there are none."""
    path = _write_json(found, folder)
    (folder / MARKDOWN).write_text(as_markdown(found))
    if not any(findings.curves for findings in found.values()):
        return None
    try:
        python = await python_of("plots", work)
    except NotInstalled as error:
        return str(error)
    process = await asyncio.create_subprocess_exec(
        str(python), str(PLOTTER), str(path), env={"MPLCONFIGDIR": str(work), "PATH": ""}
    )
    return f"the plotter ended with {process.returncode}" if await process.wait() else None


def _write_json(found: Mapping[str, Findings], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JSON
    path.write_bytes(as_json(found))
    return path


def _grid(table: Table) -> Grid:
    grid = Grid(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for place, column in enumerate(table.columns):
        grid.add_column(column, justify="right" if place else "left")
    for row in table.rows:
        grid.add_row(*(Text(text_of(cell)) for cell in row))
    return grid


def _plain(findings: Findings) -> dict[str, Any]:
    return {
        "tables": findings.tables,
        "curves": findings.curves,
        "claims": [_plain_claim(claim) for claim in findings.claims],
    }


def _plain_claim(claim: Claim) -> dict[str, Any]:
    return {
        "text": claim.text,
        "measured": claim.measured,
        "bound": claim.bound,
        "at_least": claim.at_least,
        "unit": claim.unit,
        "met": claim.met,
        "rounds": list(claim.rounds.rounds),
        "width": claim.rounds.width,
    }


def _figure(value: Any) -> object:
    if isinstance(value, Spread):
        return {"median": value.middle, "width": value.width, "rounds": list(value.rounds)}
    return {field.name: getattr(value, field.name) for field in fields(value)}
