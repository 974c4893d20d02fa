"""`python -m tests.isolation.prove [--quick] [LEG…]`: the long proofs, their figures in one table.

Each leg is a program; what it prints is shown and kept in benchmarks-out/prove/. Exit code 1 if
one of them fails.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

OUT = Path("benchmarks-out") / "prove"
WIDTH = 140
RESULTS = {
    "coverage": (),
    "isolation": (OUT / "isolation.json",),
    "simulation": (),
    "fleet": (),
    "chaos": (),
    "trace": (),
    "policies": (),
    "bench": (OUT / "bench" / "benchmarks.json",),
}
"""Files that the legs write beside what they print."""


class Line(NamedTuple):
    """A row of the table."""

    what: str
    figure: str
    limit: str = ""
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Leg:
    """One program, and how its figures are read."""

    name: str
    program: tuple[str, ...]
    read: Callable[[], Iterator[Line]]
    full: tuple[str, ...] = ()
    """Arguments of the full size."""

    quick: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """What starts it: a script as it is, a module by the interpreter."""
        script = "/" in self.program[0]
        return self.program if script else (sys.executable, "-m", *self.program)

    @property
    def log(self) -> Path:
        """Where what it prints is kept."""
        return OUT / f"{self.name}.log"


def _chaos() -> Iterator[Line]:
    """Read the lines of `tests.chaos`: figures, violations, proof, by scenario."""
    scenario, figures = "", []
    for line in (OUT / "chaos.log").read_text(errors="replace").splitlines():
        if line.startswith("── "):
            scenario, figures = line.removeprefix("── "), []
        elif found := re.fullmatch(r"   (kept|VIOLATED), (\d+) s", line):
            reported = "; ".join([*figures, f"{found[2]} s"])
            yield Line(scenario, reported, "no violation", found[1] == "kept")
        elif scenario and line.startswith("   "):
            figures.append(line.strip()[:200])


def _coverage() -> Iterator[Line]:
    """Read the last line of pytest-cov: of all branches, those that the tests take."""
    text = (OUT / "coverage.log").read_text(errors="replace")
    found = re.search(r"Required test coverage of ([\d.]+)% .*Total coverage: ([\d.]+)%", text)
    if found:
        limit, figure = found.groups()
        kept = float(figure) >= float(limit)
        yield Line("branches that the tests take", f"{figure} %", f"≥ {limit} %", kept)


def _isolation() -> Iterator[Line]:
    for name, scenario in _json("isolation").items():
        for row in scenario["rows"]:
            yield Line(f"{name}: {row['figure']}", row["measured"], row["limit"], row["kept"])


def _trace() -> Iterator[Line]:
    """Read what `tests.benchmarks.message_trace` prints."""
    text = (OUT / "trace.log").read_text(errors="replace")
    for what, figure, limit in re.findall(r"^(.+): (\d+) \(limit (\d+)\)$", text, re.MULTILINE):
        yield Line(what, figure, f"≤ {limit}", int(figure) <= int(limit))


def _policies() -> Iterator[Line]:
    """Read the last line of `deploy/tests/policies/run`: checks that passed, and that failed."""
    text = (OUT / "policies.log").read_text(errors="replace")
    for passed, failed in re.findall(r"^(\d+) passed, (\d+) failed$", text, re.MULTILINE):
        figure = f"{passed} of {int(passed) + int(failed)}"
        yield Line("whole policies, and each action removed", figure, "all", failed == "0")


def _simulation(name: str) -> Iterator[Line]:
    """Read the rows that a program of `tests.simulation` prints: scenario, figures, proof."""
    for line in (OUT / f"{name}.log").read_text(errors="replace").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0] not in ("scenario", "---"):
            yield Line(cells[0], cells[1], "", cells[2] == "yes")


def _bench() -> Iterator[Line]:
    for name, findings in _json("bench").items():
        for claim in findings["claims"]:
            sign = "≥" if claim["at_least"] else "≤"
            measured = claim["measured"]
            reported = "-" if measured is None else f"{measured:.3g}"
            limit = f"{sign} {claim['bound']:.3g}"
            yield Line(f"{name}: {claim['text']}", reported, limit, claim["met"])


def _json(leg: str) -> dict[str, dict]:
    [path] = RESULTS[leg]
    return orjson.loads(path.read_bytes()) if path.exists() else {}


THOROUGH = ("--hypothesis-profile", "thorough")
MEASURED = ("pytest", "-n", "2", "--dist", "worksteal", *THOROUGH, "--cov")

LEGS = (
    Leg("coverage", MEASURED, _coverage),
    Leg(
        "isolation",
        ("tests.isolation", "--json", str(OUT / "isolation.json")),
        _isolation,
        quick=("--quick",),
    ),
    Leg(
        "simulation",
        ("tests.simulation",),
        partial(_simulation, "simulation"),
        full=("--full",),
    ),
    Leg(
        "fleet",
        ("tests.simulation.fleet",),
        partial(_simulation, "fleet"),
        quick=("--quick",),
    ),
    Leg("chaos", ("tests.chaos",), _chaos, full=("--full",)),
    Leg("trace", ("tests.benchmarks.message_trace",), _trace),
    Leg("policies", ("deploy/tests/policies/run",), _policies, quick=("--quick",)),
    Leg("bench", ("tests.benchmarks", "--out", str(OUT / "bench")), _bench, quick=("--quick",)),
)


def main() -> int:
    """Run the legs one by one; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.isolation.prove", description=__doc__)
    names = [leg.name for leg in LEGS]
    parser.add_argument("legs", nargs="*", choices=[*names, []], metavar="LEG")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    asked = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    legs = [leg for leg in LEGS if not asked.legs or leg.name in asked.legs]
    ended = [(leg, *_run(leg, quick=asked.quick)) for leg in legs]
    grid = Table(box=box.SIMPLE_HEAD)
    for column in ("leg", "what", "figure", "limit", ""):
        grid.add_column(column, overflow="fold")
    for leg, code, seconds in ended:
        for line in leg.read():
            _add(grid, leg.name, line)
        _add(grid, leg.name, Line(f"exit code, after {seconds:.0f} s", str(code), "= 0", code == 0))
    Console(width=WIDTH).print(grid)
    return 1 if any(code for _, code, _ in ended) else 0


def _run(leg: Leg, *, quick: bool) -> tuple[int, float]:
    """Run a leg, its output shown as it comes and kept; return exit code and seconds."""
    for result in RESULTS[leg.name]:
        result.unlink(missing_ok=True)  # of a run before: a leg that breaks off has no figures
    more = leg.quick if quick else leg.full
    sys.stdout.write(f"══ {leg.name}\n")
    sys.stdout.flush()
    began = time.monotonic()
    with leg.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own programs
            [*leg.command, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for line in process.stdout:
            log.write(line)
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
    return process.wait(), time.monotonic() - began


def _add(grid: Table, leg: str, line: Line) -> None:
    word = "" if not line.limit else "kept" if line.kept else "BROKEN"
    style = "" if line.kept else "bold red"
    cells = (leg, line.what, line.figure, line.limit, word)
    grid.add_row(*(Text(cell, style=style) for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
