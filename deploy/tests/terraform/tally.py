"""Counts checks, and prints each."""  # noqa: INP001  a script's folder

import sys


class Tally:
    """What passed and what failed."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def that(self, name: str, found: object, wanted: object = True) -> None:  # noqa: FBT002  the usual one
        """Count a check that passes when what is found is what is wanted."""
        right = found == wanted
        self.passed += right
        self.failed += not right
        say(f"{'ok    ' if right else 'FAILED'} {name}")
        if not right:
            say(f"         found {found!r}, wanted {wanted!r}")

    def close(self) -> int:
        """Print the sum; return the exit code."""
        say(f"{self.passed} passed, {self.failed} failed")
        return int(self.failed > 0 or self.passed == 0)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
