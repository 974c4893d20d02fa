"""The command line; wrong settings and output that is lost end in a message and exit code 2."""

import os
import sys
from errno import EDQUOT, EFBIG, ENOSPC
from inspect import cleandoc
from typing import Annotated

import typer

from worker import __version__
from worker.cli.commands import EXAMPLES, GROUPS
from worker.cli.exit_codes import EXIT_CODES, WRONG_USAGE, examples
from worker.errors import ConfigurationError

NO_SPACE = (ENOSPC, EDQUOT, EFBIG)
"""Errors of a full disk, a used quota or a file at its limit. Not EPIPE: typer ends quietly."""

app = typer.Typer(
    name="worker",
    help="Takes Genesys Cloud events from SQS and acts on them.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # Typer's tracebacks show locals: tokens and phone numbers.
    pretty_exceptions_enable=False,
)

for command, lines in EXAMPLES.items():
    app.command(command.__name__.replace("_", "-"), epilog=examples(*lines))(command)
for name, commands in GROUPS.items():
    app.add_typer(commands, name=name)


def _unwrap_help(group: typer.Typer) -> None:
    """Make each paragraph of a command's docstring one line: the terminal wraps it."""
    for one in group.registered_commands:
        paragraphs = cleandoc(getattr(one.callback, "__doc__", None) or "").split("\n\n")
        one.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap_help(inner.typer_instance)


_unwrap_help(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Take the options that precede a command."""


def main() -> None:
    """Run the command line of this process."""
    try:
        app(prog_name=app.info.name)  # also of `python -m worker`: completion goes by it
    except ConfigurationError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(WRONG_USAGE)
    except OSError as error:
        # Of output: `report --out`, the one command that writes files, reports its failures itself.
        if error.errno not in NO_SPACE:
            raise
        _drop_output()
        typer.echo(f"output could not be written: {error.strerror}", err=True)
        sys.exit(WRONG_USAGE)


def _drop_output() -> None:
    """Discard what is still buffered: written at the end of the process, it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
