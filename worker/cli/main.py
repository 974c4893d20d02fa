"""The command line; wrong settings and output that is lost end in a message and exit code 2."""

import os
import sys
from collections.abc import Mapping
from errno import EDQUOT, EFBIG, ENOSPC
from inspect import cleandoc
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from worker import __version__
from worker.cli.commands import EXAMPLES, GROUPS
from worker.cli.exit_codes import EXIT_CODES, WRONG_USAGE, examples
from worker.errors import ConfigurationError

NO_SPACE = (ENOSPC, EDQUOT, EFBIG)
"""Errors of a full disk, a used quota or a file at its limit. Not EPIPE: typer ends quietly."""

ENV_FILE = "--env-file"


class _EnvFileAnywhere(TyperGroup):
    """Takes --env-file behind the command too, as people write it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the option to the front."""
        moved: list[str] = []
        rest: list[str] = []
        given = iter(args)
        for one in given:
            if one == "--":
                rest += [one, *given]
            elif one == ENV_FILE:
                moved += [one, *islice(given, 1)]
            else:
                (moved if one.startswith(f"{ENV_FILE}=") else rest).append(one)
        return super().parse_args(ctx, [*moved, *rest])


app = typer.Typer(
    name="worker",
    cls=_EnvFileAnywhere,
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


def variables_in(path: Path) -> Mapping[str, str]:
    """Return what a file sets, as Docker, Compose and python-dotenv read it.

    `NAME=value` lines, `export`, comments, quotes; nothing is expanded. Raises ConfigurationError
    that names each line that cannot be read, without its text.
    """
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no text in UTF-8"
        raise ConfigurationError([f"--env-file: {str(path)!r} cannot be read: {why}"]) from None
    if bad := [str(line.original.line) for line in lines if line.error]:
        raise ConfigurationError(
            [f"--env-file: {str(path)!r}: line {n} is no NAME=value" for n in bad]
        )
    return {line.key: line.value or "" for line in lines if line.key}


def _load(files: list[Path] | None) -> None:
    """Set what the files set, later ones first, unless the environment has it."""
    for file in reversed(files or ()):
        for name, value in variables_in(file).items():
            os.environ.setdefault(name, value)


@app.callback()
def _options(
    env_file: Annotated[
        list[Path] | None,
        typer.Option(
            ENV_FILE,
            metavar="FILE",
            help="Read variables from a file of NAME=value lines; those of the environment count "
            "more.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001  its callback acts
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Take the options that precede a command."""
    _load(env_file)


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
