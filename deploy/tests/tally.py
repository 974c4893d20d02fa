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
        say(f"{'FAILED' if found else 'ok    '} {name}")
        for problem in found:
            say(f"         {problem}")

    def equal(self, name: str, found: object, wanted: object) -> None:
        """Count a check that passes when what is found is what is wanted."""
        self.that(name, () if found == wanted else (f"found {found!r}, wanted {wanted!r}",))

    def refused(self, name: str, problems: Iterable[str]) -> None:
        """Count a check that passes when a problem was found."""
        self.that(f"refused: {name}", () if list(problems) else ("nothing was found wrong",))

    def end(self) -> int:
        """Print the sum; return the exit code: 1 also when nothing was checked."""
        say(f"{self.passed} passed, {self.failed} failed")
        return int(self.failed > 0 or self.passed == 0)


def say(line: str) -> None:
    """Print a line at once: a pipe would hold it back."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
