"""`python -m tests.simulation [--full] [NAME…]`: the intake's rules in virtual time, as a table.

Exit code 0 only if every scenario kept its limits. NAME: a part of a scenario's name.
"""

import argparse
import sys

from tests.simulation.catalogue import scenarios
from tests.simulation.play import Figures, JobFigures, play


def main() -> int:
    """Play what was asked for; return the exit code."""
    asked = _arguments()
    known = scenarios(full=asked.full)
    chosen = [
        one for name, one in known.items() if not asked.names or any(n in name for n in asked.names)
    ]
    if not chosen:
        sys.exit(f"no such scenario; there are: {'; '.join(known)}")
    say("| scenario | figures | kept |\n|---|---|---|")
    broken = 0
    for one in chosen:
        figures = play(one)
        broken += bool(figures.problems)
        say(_row(figures))
    return 1 if broken else 0


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--full", action="store_true", help="the hours and rates of the table")
    return parser.parse_args()


def _row(figures: Figures) -> str:
    lines = [_job(job) for job in figures.jobs.values()]
    opens = ", ".join(f"{name} {times}" for name, times in figures.opens.items())
    lines.append(
        f"receives {figures.receives}/{figures.messages}, opens {opens or 'none'}, "
        f"leaked {len(figures.leaks)}, twice {figures.done_twice}, {figures.cpu_seconds:.1f} s"
    )
    kept = "<br>".join(figures.problems) or "yes"
    return f"| {figures.scenario.name} | {'<br>'.join(lines)} | {kept} |"


def _job(job: JobFigures) -> str:
    dead = ", ".join(f"{times} {why}" for why, times in job.dead.items()) or "0"
    back = "" if job.first_back is None else f", back +{job.first_back:.0f}/+{job.last_back:.0f}"
    return (
        f"{job.job} {job.done}/{job.sent}, dead {dead}, t50 {job.median:.1f}, "
        f"t99 {job.p99:.0f}, max {job.longest:.0f}, rx {job.most_receives}, "
        f"runs {job.runs / job.sent:.2f}{back}"
    )


if __name__ == "__main__":
    sys.exit(main())
