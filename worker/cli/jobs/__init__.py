"""`worker jobs`: the jobs there are, which are on. `worker new-job`: a package with one more."""

import json
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker import __version__
from worker.cli.exit_codes import WRONG_USAGE, end
from worker.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

LISTS = {
    "requires": "requires",
    "detail_types": "detail-types",
    "topics": "topics",
    "needs": "needs",
    "may_miss": "may miss",
    "aws_services": "AWS services",
    "webhooks": "webhooks",
}
"""Fields that are lists of texts, and their titles."""

TITLE_WIDTH = 14


def jobs(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: the declarations alone.")
    ] = False,
    in_force: Annotated[
        bool, typer.Option("--in-force", help="By the settings in force, not by the defaults.")
    ] = False,
) -> None:
    """List all known jobs, those of installed packages too, and whether each is on.

    Detail-types, topics, upstreams and permissions are those of the default settings: without
    --in-force the JSON does not depend on the environment. The list shows which jobs the
    environment turns on, and what the others lack.
    """
    from worker.app.command_line import settings_of
    from worker.app.jobs import catalogue

    entries = catalogue(settings_of().jobs if in_force else None)
    if as_json:
        typer.echo(json.dumps({"jobs": entries}, indent=2))
        return
    _print(entries)


def _print(entries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.text import Text

    from worker.app.command_line import settings_of
    from worker.settings import Handlers

    console = Console(highlight=False, soft_wrap=True)
    states = settings_of(Handlers).job_states()
    for entry in entries:
        name = entry["name"]
        console.print(Text(f"{name}  {states[name]}", style="bold"))
        _line(console, "", entry["summary"])
        for key, title in LISTS.items():
            _line(console, title, ", ".join(entry[key]))
        for key, title in (("permissions", "permission"), ("optional_permissions", "optional")):
            for call, permission in entry[key].items():
                _line(console, title, f"{permission or 'none is published'}  ({call})")
        for action, setting in entry["aws_actions"].items():
            _line(console, "AWS action", f"{action} on {setting}")
        for one in entry["bus_events"]:
            _line(console, "puts", f"{one['detail_type']} of {one['source']}")
        _line(console, "from", entry["distribution"])


def _line(console: "Console", title: str, text: str) -> None:
    from rich.text import Text

    if text:
        console.print(Text(f"  {title:<{TITLE_WIDTH}} {text}" if title else f"  {text}"))


PLACES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
    "job.py.txt": "src/@name@/__init__.py",
    "demo.py.txt": "src/@name@/demo.py",
    "typed.txt": "src/@name@/py.typed",
    "test.py.txt": "tests/test_@name@.py",
}
"""Where each file of the template goes. They end in .txt: no tool takes them for code of ours."""

NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
PRESENCE = "v2.users.{id}.presence"


def new_job(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Of the job, the package and its folder, e.g. presence."
        ),
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Where to write it. If none: ./NAME, which must not exist.")
    ] = None,
    topic: Annotated[
        str, typer.Option(help="Topic of Genesys Cloud its events come from.")
    ] = PRESENCE,
) -> None:
    """Write a package with a job of your own, which puts events into a Kinesis stream.

    It is complete: install it, and every command of the worker knows the job. Change it then to do
    what you want; its test shows how to try that on emulators.
    """
    _check(name, topic)
    target = folder or Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        end(f"{target}: exists, and is not an empty folder", WRONG_USAGE)
    for path, text in written(name, topic):
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        typer.echo(place)
    typer.echo(f"next: pip install -e '{target}[dev]' && (cd {target} && pytest)")


def written(name: str, topic: str = PRESENCE) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file of the package."""
    major, minor, *_ = __version__.split(".")
    words = {
        "@name@": name,
        "@Name@": "".join(part.capitalize() for part in name.split("_")),
        "@NAME@": name.upper(),
        "@topic@": topic,
        "@glob@": topic.replace("{id}", "*"),
        "@version@": f"{major}.{minor}",
        "@next@": f"{major}.{int(minor) + 1}" if major == "0" else f"{int(major) + 1}",
    }
    for source, path in PLACES.items():
        text = files(__name__).joinpath("template", source).read_text()
        yield _filled(path, words), _filled(text, words)


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text


def _check(name: str, topic: str) -> None:
    """Raise ConfigurationError for what could be no job, or would hide another module."""
    from worker.app.jobs import BUILT_IN

    problems = []
    if NAME.fullmatch(name) is None:
        problems.append("NAME: 2 to 31 lower-case letters, digits and _, e.g. presence")
    elif name in {*BUILT_IN, "worker"} or iskeyword(name) or name in sys.stdlib_module_names:
        problems.append("NAME: is taken by a job of the worker, or by Python")
    if not re.fullmatch(r"[A-Za-z0-9{}._-]+", topic):
        problems.append("--topic: not a topic, e.g. v2.users.{id}.presence")
    if problems:
        raise ConfigurationError(problems)
