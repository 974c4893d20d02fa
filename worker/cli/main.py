"""The command line; wrong settings and output that is lost end in a message and exit code 2."""

import os
import sys
from errno import EDQUOT, EFBIG, ENOSPC

from worker.errors import ConfigurationError

WRONG_USAGE = 2  # as in exit_codes, which imports typer
NO_SPACE = (ENOSPC, EDQUOT, EFBIG)
"""Errors of a full disk, a used quota or a file at its limit. Not EPIPE: typer ends quietly."""

INTERRUPTED = 130
"""What a shell calls an end by SIGINT."""


def main() -> None:
    """Run the command line of this process."""
    try:
        _run()
    except ConfigurationError as error:
        for problem in error.problems:
            _complain(problem)
        sys.exit(WRONG_USAGE)
    except OSError as error:
        # Of output: `report --out`, the one command that writes files, reports its failures itself.
        if error.errno not in NO_SPACE:
            raise
        _drop_output()
        _complain(f"output could not be written: {error.strerror}")
        sys.exit(WRONG_USAGE)


def _run() -> None:
    if sys.argv[1:] == ["run"]:
        # As containers run it. There are no options to be read, and typer takes two MiB for good.
        from worker.cli.run import run

        try:
            run()
        except KeyboardInterrupt:  # before it listens to signals
            sys.exit(INTERRUPTED)
    from worker.cli.commands import app

    app(prog_name=app.info.name)  # also of `python -m worker`: completion goes by it


def _complain(problem: str) -> None:
    sys.stderr.write(f"{problem}\n")


def _drop_output() -> None:
    """Discard what is still buffered: written at the end of the process, it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
