"""All commands, and what becomes of bad settings and lost output: a clean message, exit code 2."""

import os
import sys
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Annotated

import typer

from worker import __version__
from worker.cli import check, demo, dlq, health, inspect, report, run, send, settings, source
from worker.errors import ConfigurationError

BAD_CONFIGURATION = 2
OUTPUT_LOST = 2

NO_SPACE = (ENOSPC, EDQUOT, EFBIG)
"""What a full disk, a spent quota or a file at its limit answers. Not EPIPE: typer ends quietly."""

app = typer.Typer(
    name="worker",
    help="Takes Genesys Cloud events from SQS and acts on them.",
    no_args_is_help=True,
    add_completion=False,
    # Typer's tracebacks show locals: tokens and phone numbers.
    pretty_exceptions_enable=False,
)

app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("inspect")(inspect.inspect)
app.command("send")(send.send)
app.command("settings")(settings.settings)
app.command("health")(health.health)
app.add_typer(dlq.app, name="dlq")
app.add_typer(report.app, name="report")
app.add_typer(source.app, name="source")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


def main() -> None:
    """Run the command line of this process."""
    try:
        app()
    except ConfigurationError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(BAD_CONFIGURATION)
    except OSError as error:
        # Of output: `report --out`, the one command that writes files, tells its failures itself.
        if error.errno not in NO_SPACE:
            raise
        _drop_output()
        typer.echo(f"output could not be written: {error.strerror}", err=True)
        sys.exit(OUTPUT_LOST)


def _drop_output() -> None:
    """Let what is still held go nowhere: written at the end of the process, it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
