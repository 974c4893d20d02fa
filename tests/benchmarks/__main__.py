"""`python -m tests.benchmarks [name …] [--quick] [--rounds N] [--out FOLDER]`: side by side.

Prints tables; writes JSON, plots and the tables as Markdown to the folder. Exit code 1 when a claim
is not met or a benchmark broke off, after everything is written.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.benchmarks import (
    aws_calls,
    budget,
    functions,
    growth,
    head_of_line,
    in_process,
    intake,
    memory,
    opening,
    outgoing,
    report,
    rows,
    sigterm,
    steady,
    voice,
)
from tests.benchmarks.contest import say
from tests.benchmarks.findings import Findings
from tests.benchmarks.size import Size

Measure = Callable[[Size], Awaitable[Findings]]

BENCHMARKS: tuple[tuple[str, Measure], ...] = (
    ("intake", intake.measure),
    ("steady", steady.measure),
    ("in_process", in_process.measure),
    ("aws_calls", aws_calls.measure),
    ("opening", opening.measure),
    ("outgoing", outgoing.measure),
    ("voice", voice.measure),
    ("budget", budget.measure),
    ("head_of_line", head_of_line.measure),
    ("sigterm", sigterm.measure),
    ("growth", growth.measure),
    ("memory", memory.measure),
    ("rows", rows.measure),
    ("functions", functions.measure),
)
CACHE = Path.home() / ".cache" / "genesys-event-worker-bench"
"""Environments of the peers and messages in their formats; BENCH_CACHE names another folder."""


def main() -> int:
    """Run what was asked for; return the exit code."""
    # As by Ctrl-C: ended at once, it would leave a contestant that polls, and takes half a core.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = _arguments()
    size = _size(asked)
    found: dict[str, Findings] = {}
    broken, seconds = [], {}
    for name, measure in BENCHMARKS:
        if not asked.names or name in asked.names:
            began = time.monotonic()
            findings = _measured(name, measure, size)
            seconds[name] = time.monotonic() - began
            if findings is None:
                broken.append(name)
            else:
                found[name] = findings
    code = _report(found, broken, asked.out, size)
    say(_times(seconds))
    return code


def _times(seconds: Mapping[str, float]) -> str:
    each = ", ".join(f"{name} {took:.0f}" for name, took in seconds.items())
    return f"{sum(seconds.values()) / 60:.1f} minutes; seconds of each: {each}"


def _measured(name: str, measure: Measure, size: Size) -> Findings | None:
    say(f"── {name}")
    try:
        findings = asyncio.run(measure(size))
    except Exception:  # noqa: BLE001  whatever it is, the other benchmarks are run and reported
        say(traceback.format_exc())
        return None
    report.show(findings, report.console())
    return findings


def _report(found: dict[str, Findings], broken: list[str], out: Path, size: Size) -> int:
    if problem := asyncio.run(report.write(found, out, size.work)):
        say(f"no plots: {problem}")
    say(f"written to {out}")
    for findings in found.values():
        for table in findings.tables:
            for reason in table.missing:
                say(f"{table.name}: {reason}")
    missed = [claim for findings in found.values() for claim in findings.claims if not claim.met]
    for claim in missed:
        say(report.reported(claim))
    for name in broken:
        say(f"{name} broke off")
    return 1 if missed or broken else 0


def _size(asked: argparse.Namespace) -> Size:
    work = Path(os.environ.get("BENCH_CACHE") or CACHE)
    work.mkdir(parents=True, exist_ok=True)
    rounds = asked.rounds or (1 if asked.quick else 5)
    return Size(rounds, messages=3000 if asked.quick else 10_000, quick=asked.quick, work=work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    names = [name for name, _ in BENCHMARKS]
    parser.add_argument("names", nargs="*", choices=[*names, []], metavar="name")
    parser.add_argument("--quick", action="store_true", help="coarse figures, some minutes in all")
    parser.add_argument("--rounds", type=int, help="times that each figure is taken")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
