"""Counts checks and prints each."""  # noqa: INP001  a script's folder

import sys
from collections.abc import Iterable


class Tally:
    """What passed and what failed so far."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def that(self, name: str, problems: Iterable[str]) -> None:
        """Count a check that passes when there is no problem."""
        found = list(problems)
        self.passed += not found
        self.failed += bool(found)
        self.say(f"{'FAILED' if found else 'ok    '} {name}")
        for problem in found:
            self.say(f"         {problem}")

    def refused(self, name: str, problems: Iterable[str]) -> None:
        """Count a check that passes when a problem was found."""
        self.that(f"refused: {name}", () if list(problems) else ("nothing was found wrong",))

    def say(self, line: str) -> None:
        """Print a line at once: a pipe would hold it back."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def end(self) -> int:
        """Print the sum; return the exit code."""
        self.say(f"{self.passed} passed, {self.failed} failed")
        return int(self.failed > 0)
