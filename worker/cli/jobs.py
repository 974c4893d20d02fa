"""`worker jobs`: the jobs there are, what each takes, and which of them are on."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
