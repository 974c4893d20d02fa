"""`python -m tests.chaos --seed N --minutes M [--full] [scenario …]`: all promises, under fire.

Exit code 0 only if no scenario found a violation.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace

from tests.chaos.arena import SETTINGS
from tests.chaos.findings import Findings, Violation
from tests.chaos.regressions import REGRESSIONS
from tests.chaos.scenarios import (
    copies,
    crashes,
    fifo,
    kills,
    outage,
    poison,
    soak,
    sqs_faults,
    throttled,
)
from tests.chaos.sizes import FULL, SMALL, Sizes

SCENARIOS = {
    "poison": poison.play,
    "copies": copies.play,
    "crashes": crashes.play,
    "outage": outage.play,
    "sqs_faults": sqs_faults.play,
    "throttled": throttled.play,
    "fifo": fifo.play,
    "kills": kills.play,
    "soak": soak.play,
}


def main() -> int:
    """Play the regressions, every scenario once, then again with new seeds until time is up."""
    asked = _arguments()
    say(f"seed {asked.seed}")
    if asked.transport:
        SETTINGS["AWS_TRANSPORT"] = asked.transport
    began, failed, played = time.monotonic(), [], 0
    for number, (name, seed) in enumerate(_programme(asked)):
        once = len(asked.scenarios) + (0 if asked.only else len(REGRESSIONS))
        if number >= once and time.monotonic() - began >= asked.minutes * 60:
            break
        played += 1
        if not _played(name, seed, asked.sizes):
            failed.append((name, seed))
    say(f"{played - len(failed)} passed, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    if failed:
        say("for tests/chaos/regressions.py:")
        for case in failed:
            say(f"    {case!r},")
    return 1 if failed else 0


def _programme(asked: argparse.Namespace) -> Iterator[tuple[str, int]]:
    if not asked.only:
        yield from REGRESSIONS
    seed = asked.seed
    while True:
        for name in asked.scenarios:
            yield name, seed
        seed += 1


def _played(name: str, seed: int, sizes: Sizes) -> bool:
    """Play one scenario and report what it found; a scenario that breaks off failed, too."""
    say(f"── {name} --seed {seed}")
    began = time.monotonic()
    try:
        findings = asyncio.run(SCENARIOS[name](seed, sizes))
    except Exception as error:  # noqa: BLE001  whatever it is, the next scenario is played
        findings = Findings([Violation("broke off", (), f"{type(error).__name__}: {error}")])
    for figure, value in findings.figures.items():
        say(f"   {figure}: {value}")
    for violation in findings.violations:
        say(f"   VIOLATION {violation}")
    say(f"   {'VIOLATED' if findings.violations else 'kept'}, {time.monotonic() - began:.0f} s")
    return not findings.violations


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], metavar="scenario")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--minutes", type=float, default=0, help="go on with new seeds for so long")
    parser.add_argument("--transport", help="AWS_TRANSPORT of the workers; else its default")
    parser.add_argument("--full", action="store_true", help="sizes of the promises, not of CI")
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default))
    asked = parser.parse_args()
    own = {f.name: getattr(asked, f.name) for f in fields(Sizes)}
    asked.sizes = replace(
        FULL if asked.full else SMALL, **{n: v for n, v in own.items() if v is not None}
    )
    asked.only = bool(asked.scenarios)
    asked.scenarios = asked.scenarios or list(SCENARIOS)
    return asked


def say(line: str) -> None:
    """Write a line at once: a run is watched."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
