"""`python -m tests.isolation [NAME…] [--quick]`: that no job feels another's trouble, in figures.

Exit code 0 only if every limit of every scenario was kept.
"""

import argparse
import asyncio
import sys
import time
import traceback
from pathlib import Path

import orjson

from tests.isolation.proof import Proof, Row
from tests.isolation.scenarios import SCENARIOS
from tests.isolation.sizes import Size


def main() -> int:
    """Play what was asked for; return the exit code."""
    asked = _arguments()
    size = Size(quick=asked.quick, bound=not asked.one_queue)
    found: dict[str, tuple[Proof, float]] = {}
    for name in asked.names or SCENARIOS:
        say(f"── {name}")
        found[name] = _played(name, size)
        proof, seconds = found[name]
        for row in proof.rows:
            say(f"   {row}")
        say(f"   {'kept' if proof.kept else 'BROKEN'}, {seconds:.0f} s")
    _sum_up(found)
    if asked.json:
        asked.json.write_bytes(orjson.dumps(_plain(found), option=orjson.OPT_INDENT_2))
    return 0 if all(proof.kept for proof, _ in found.values()) else 1


def _played(name: str, size: Size) -> tuple[Proof, float]:
    """Play one; a scenario that breaks off is broken, too."""
    began = time.monotonic()
    try:
        proof = asyncio.run(SCENARIOS[name](size))
    except Exception as error:  # noqa: BLE001  whatever it is, the next scenario is played
        sys.stderr.write(traceback.format_exc())
        first = str(error).strip().splitlines()[:1]
        reported = f"broke off: {type(error).__name__}: {' '.join(first)}"
        proof = Proof([Row("it runs to its end", reported, "yes", kept=False)])
    return proof, time.monotonic() - began


def _sum_up(found: dict[str, tuple[Proof, float]]) -> None:
    say("")
    for name, (proof, seconds) in found.items():
        held = sum(bool(row.limit) for row in proof.rows)
        word = "kept  " if proof.kept else "BROKEN"
        say(f"{word} {name:24} {held - len(proof.broken)} of {held} limits, {seconds:.0f} s")


def _plain(found: dict[str, tuple[Proof, float]]) -> dict[str, object]:
    return {
        name: {
            "kept": proof.kept,
            "seconds": round(seconds, 1),
            "rows": [row._asdict() for row in proof.rows],
        }
        for name, (proof, seconds) in found.items()
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.isolation", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SCENARIOS, []], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="minutes become shorter ones")
    parser.add_argument(
        "--one-queue", action="store_true", help="not bound: one queue for all jobs"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    return parser.parse_args()


def say(line: str) -> None:
    """Write a line at once: a run is watched."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
