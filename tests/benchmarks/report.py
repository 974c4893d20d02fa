"""What was found, for people and for machines: tables, JSON, plots."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from tests.benchmarks.environments import NotInstalled, python_of
from tests.benchmarks.findings import Cell, Claim, Findings, Spread, Table

JSON = "benchmarks.json"
PLOTTER = Path(__file__).parent / "plots.py"
WIDTH = 110
"""Columns of a report that goes to a file; a terminal has its own."""


def show(findings: Findings, console: Console) -> None:
    """Print tables with their notes, then the claims."""
    for table in findings.tables:
        console.print(_grid(table))
        for note in table.notes:
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
    sign = "≥" if claim.at_least else "≤"
    word = "met" if claim.met else "NOT MET"
    return f"{word}: {claim.text}: {claim.measured:.3g} (claimed: {sign} {claim.bound:.3g})"


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


async def write(found: Mapping[str, Findings], folder: Path, work: Path) -> str | None:
    """Write JSON and plots; return why there are no plots, if there are none."""
    path = _write_json(found, folder)
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
        "claims": [asdict(claim) | {"met": claim.met} for claim in findings.claims],
    }


def _figure(value: Any) -> object:
    if isinstance(value, Spread):
        return {"median": value.middle, "width": value.width, "rounds": list(value.rounds)}
    return {field.name: getattr(value, field.name) for field in fields(value)}
