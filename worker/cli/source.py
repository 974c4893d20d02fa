"""`worker source`: the Genesys side of EventBridge, made once per organization."""

import asyncio
import json
import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from worker.cli.sourcing import Outcome
    from worker.settings import Genesys

T = TypeVar("T")

TOPICS = (
    "v2.detail.events.conversation.{id}.customer.start",
    "v2.detail.events.conversation.{id}.customer.end",
    "v2.speechandtextanalytics.conversation.{id}.sentiment",
)
"""What the handlers want; `{id}` is sent as it stands."""

app = typer.Typer(
    help="Make, show and switch on the integration that sends Genesys events to EventBridge.",
    no_args_is_help=True,
)

Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this, only tell what.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _like(pattern: str, what: str) -> Any:
    """Return typer's callback that refuses any other text: a usage error, exit code 2."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise typer.BadParameter(f"not {what}")
        return value

    return check


Suffix = Annotated[
    str,
    typer.Argument(
        help="Last part of the partner source's name, e.g. prod-events.",
        callback=_like(r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, dots, _ and -"),
    ),
]


@app.command()
def create(
    suffix: Suffix,
    account: Annotated[
        str,
        typer.Option(help="AWS account.", callback=_like(r"[0-9]{12}", "an account of 12 digits")),
    ],
    region: Annotated[
        str,
        typer.Option(
            help="AWS region.", callback=_like(r"[a-z]{2,4}(-[a-z]+)+-[0-9]", "an AWS region")
        ),
    ],
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Topic to send; repeat for more. All we handle if none."),
    ] = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Make the integration and configure it; run again, it changes only what differs."""
    from worker.cli.sourcing import create_source
    from worker.clients.genesys.integrations import SourceConfig

    wanted = SourceConfig(
        account_id=account, region=region, suffix=suffix, topics=tuple(topic or TOPICS)
    )
    _tell(_done(create_source(_settings(), wanted, apply=apply)), as_json=as_json)


@app.command()
def enable(suffix: Suffix, apply: Apply = False, as_json: AsJson = False) -> None:
    """Switch the integration on; events flow once its bus exists."""
    from worker.cli.sourcing import enable_source

    _tell(_done(enable_source(_settings(), suffix, apply=apply)), as_json=as_json)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the EventBridge integrations there are."""
    from worker.cli.sourcing import sources_of

    rows = _done(sources_of(_settings()))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("none: `worker source create` makes one")
    for row in rows:
        state = "enabled" if row["enabled"] else "disabled"
        typer.echo(f"{row['partnerSource'] or '(not configured)'}  {state}  {row['integrationId']}")
        for topic in row["topics"]:
            typer.echo(f"  {topic}")


def _settings() -> "Genesys":
    from worker.settings import Genesys, load_group

    return load_group(Genesys)


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; a failure of Genesys is a line on stderr and exit code 1."""
    import sys

    from worker.errors import ConfigurationError, WorkerError
    from worker.telemetry.logs import configure_logging

    configure_logging("error", "auto", sys.stderr)
    try:
        return asyncio.run(work)
    except ConfigurationError:
        raise
    except WorkerError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _tell(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
        return
    what = ", ".join(outcome.steps) or "nothing: it is as wanted"
    typer.echo(f"{'done' if outcome.applied else 'to do'}: {what}")
    typer.echo(f"partner source: {outcome.partner_source}")
    if outcome.steps and not outcome.applied:
        typer.echo("Nothing was changed. Add --apply to do it.")
    elif outcome.applied and "configure" in outcome.steps:
        name = outcome.partner_source
        typer.echo(f"next: aws events create-event-bus --name {name} --event-source-name {name}")
