"""All commands by name, and the options before them.

A command's module is imported when it is run, completed, or its help is shown: so one that is run
every few seconds, as `worker health` is, loads nothing of the others.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from worker import __version__
from worker.cli.exit_codes import EXIT_CODES, examples
from worker.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is."""

    target: str
    """`module:name` under worker.cli: a function, or a Typer with commands of its own."""

    examples: tuple[str, ...] = ()
    """For the help of a function; a Typer has its own."""


COMMANDS: Mapping[str, Command] = {
    "run": Command(
        "run:run",
        (
            "worker run",
            "worker --env-file .env run",
            "LOG_FORMAT=json SQS_CONCURRENCY=128 worker run",
        ),
    ),
    "demo": Command(
        "demo:demo",
        (
            "worker demo",
            "worker demo --events 1000 --keep demo",
            "worker demo --serve",
        ),
    ),
    "check": Command(
        "check:check",
        (
            "worker check",
            "worker check --strict",
            "worker check --json",
        ),
    ),
    "explain": Command(
        "check:explain",
        (
            "worker explain SQS05",
            "worker explain",
        ),
    ),
    "inspect": Command(
        "inspect:inspect",
        (
            "worker inspect event.json",
            "worker inspect event.json --crm record.json --schema flow.json",
            "worker inspect event.json --live",
            "worker inspect event.json --live --body --json",
        ),
    ),
    "send": Command(
        "send:send",
        (
            "worker send event.json",
            "worker send events.jsonl --queue-url https://sqs.eu-west-1.amazonaws.com/1/q",
            "jq -c . events.json | worker send -",
        ),
    ),
    "jobs": Command(
        "jobs:jobs",
        (
            "worker jobs",
            "worker jobs --json",
        ),
    ),
    "new-job": Command(
        "jobs:new_job",
        (
            "worker new-job presence",
            "worker new-job queue_alerts --topic v2.routing.queues.{id}.users",
        ),
    ),
    "schema": Command(
        "settings:schema",
        (
            "worker schema",
            "worker schema --job sentiment",
            "worker schema --asyncapi",
        ),
    ),
    "settings": Command(
        "settings:settings",
        (
            "worker settings",
            "worker settings sqs_ --changed",
            "worker settings --format env",
        ),
    ),
    "status": Command(
        "status:status",
        (
            "worker status",
            "worker status --watch --url http://worker.default.svc.cluster.local:9464",
            "worker status --url http://10.0.0.1:9464 --url http://10.0.0.2:9464 --json",
        ),
    ),
    "console": Command(
        "console:console",
        (
            "worker console",
            "worker console --url http://worker.default.svc.cluster.local:9464",
            "worker --env-file .env console --allow-changes",
        ),
    ),
    "backfill": Command(
        "backfill:backfill",
        (
            "worker backfill --from 2026-03-01 --to 2026-03-02",
            "worker backfill --from 2026-03-01T08Z --to 2026-03-01T12Z --apply",
            "worker backfill --from 2026-03-01 --to 2026-03-02 --rate 10 --apply --json",
        ),
    ),
    "trace": Command(
        "trace:trace",
        (
            "worker trace c0ffee00-0000-4000-8000-000000000001",
            "worker trace c0ffee00-0000-4000-8000-000000000001 --json",
        ),
    ),
    "health": Command(
        "health:health",
        (
            "worker health",
            "worker health --url http://127.0.0.1:9464/readyz",
        ),
    ),
    "dlq": Command("dlq:app"),
    "report": Command("report:app"),
    "source": Command("source:app"),
}
"""In the order of the help."""


ENV_FILE = "--env-file"


class _Commands(TyperGroup):
    """Imports a command when it is asked for; takes --env-file behind it too, as people write."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  typer's own name
        """Return a command; None for a name that is none."""
        if self.commands.get(cmd_name) is None and cmd_name in COMMANDS:
            self.commands[cmd_name] = _loaded(cmd_name, COMMANDS[cmd_name])
        return self.commands.get(cmd_name)

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


def _loaded(name: str, command: Command) -> Any:
    """Import a command, and return it as typer makes it of its function."""
    module, _, attribute = command.target.partition(":")
    found = getattr(import_module(f"worker.cli.{module}"), attribute)
    holder = typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name, epilog=examples(*command.examples))(found)
    _unwrap_help(holder)
    return get_group(holder).commands[name]


def _unwrap_help(group: typer.Typer) -> None:
    """Make each paragraph of a command's docstring one line: the terminal wraps it."""
    for one in group.registered_commands:
        paragraphs = cleandoc(getattr(one.callback, "__doc__", None) or "").split("\n\n")
        one.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap_help(inner.typer_instance)


app = typer.Typer(
    name="worker",
    cls=_Commands,
    help="Takes Genesys Cloud events from SQS and acts on them.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # Typer's tracebacks show locals: tokens and phone numbers.
    pretty_exceptions_enable=False,
)


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
