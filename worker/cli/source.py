"""`worker source`: the Genesys side of EventBridge, made once per organization."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from worker.cli.exit_codes import examples, finish
from worker.errors import ConfigurationError, Permanent

if TYPE_CHECKING:
    from worker.clients.genesys import EventSource, Integrations, SourceConfig

Step = Literal["create", "configure", "enable"]

CREATE = (
    "worker source create prod-events --account 111122223333 --region eu-west-1",
    "worker source create prod --account 111122223333 --region eu-west-1 --apply",
)

app = typer.Typer(
    help="Make, show and enable the integration that sends Genesys events to EventBridge.",
    epilog=examples(
        *CREATE,
        "worker source enable prod-events --apply",
        "worker source show",
    ),
    no_args_is_help=True,
)

Apply = Annotated[bool, typer.Option("--apply", help="Apply the changes (default: dry run).")]
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
        metavar="SUFFIX",
        help="Last part of the partner source's name, e.g. prod-events.",
        callback=_like(r"[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, dots, _ and -"),
    ),
]


@app.command(epilog=examples(*CREATE))
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
        typer.Option(
            help="Topic to send; repeat for more. If none: those of the jobs that are on, or of "
            "all known jobs where no job is on."
        ),
    ] = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Make the integration and configure it; run again, it changes only what differs."""
    from worker.clients.genesys import SourceConfig

    wanted = SourceConfig(
        account_id=account, region=region, suffix=suffix, topics=tuple(topic or wanted_topics())
    )
    _print(finish(create_source(wanted, apply=apply)), as_json=as_json)


@app.command(epilog=examples("worker source enable prod-events --apply"))
def enable(suffix: Suffix, apply: Apply = False, as_json: AsJson = False) -> None:
    """Enable the integration; events flow once its bus exists."""
    _print(finish(enable_source(suffix, apply=apply)), as_json=as_json)


@app.command(epilog=examples("worker source show", "worker source show --json"))
def show(as_json: AsJson = False) -> None:
    """Show the EventBridge integrations of the organization."""
    rows = finish(sources_of())
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


def wanted_topics() -> tuple[str, ...]:
    """Return the topics of the jobs that are on, or of all known jobs where none is."""
    from worker.app.command_line import settings_of
    from worker.app.jobs import topics_of
    from worker.settings import Handlers

    return topics_of(settings_of(Handlers).enabled_jobs())


def _print(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
        return
    what = ", ".join(outcome.steps) or "nothing: it is as wanted"
    typer.echo(f"{'done' if outcome.applied else 'to do'}: {what}")
    typer.echo(f"partner source: {outcome.partner_source}")
    for topic in outcome.topics:
        typer.echo(f"  {topic}")
    if outcome.steps and not outcome.applied:
        typer.echo("Nothing was changed. Add --apply to do it.")
    elif outcome.applied and "configure" in outcome.steps:
        name = outcome.partner_source
        typer.echo(f"next: aws events create-event-bus --name {name} --event-source-name {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found, and what was or would be done."""

    steps: tuple[Step, ...]
    applied: bool
    partner_source: str
    """Name of the event source at AWS, and of the bus that must be made for it."""

    integration_id: str | None
    """None: it would be made."""

    topics: tuple[str, ...] = ()
    """What it is, or would be, configured to send."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "integrationId": self.integration_id,
            "partnerSource": self.partner_source,
            "steps": list(self.steps),
            "applied": self.applied,
            "topics": list(self.topics),
        }


def matching(sources: "Sequence[EventSource]", wanted: "SourceConfig") -> "EventSource | None":
    """Return the source of that suffix, or else one that is not configured yet.

    An unconfigured one was left by an earlier run that was interrupted: making another each time
    would fill the organization with them. Raises Permanent when the suffix is another account's.
    """
    for one in sources:
        theirs = one.draft.source
        if theirs is not None and theirs.suffix == wanted.suffix:
            if (theirs.account_id, theirs.region) != (wanted.account_id, wanted.region):
                raise Permanent("a source of this suffix feeds another account or region")
            return one
    return next((one for one in sources if one.draft.source is None), None)


def steps_to(wanted: "SourceConfig", found: "EventSource | None") -> tuple[Step, ...]:
    """Return the steps that make the source as wanted; none when it is."""
    if found is None:
        return ("create", "configure")
    theirs = found.draft.source
    same = theirs is not None and set(theirs.topics) == set(wanted.topics)
    return () if same else ("configure",)


async def create_source(wanted: "SourceConfig", *, apply: bool) -> Outcome:
    """Make the source, or change its topics; without `apply` only return what would be done."""
    async with _integrations() as integrations:
        found = matching(await integrations.event_sources(), wanted)
        steps = steps_to(wanted, found)
        if apply and steps:
            found = found or await integrations.create()
            await integrations.configure(found, wanted)
        return Outcome(
            steps=steps,
            applied=apply and bool(steps),
            partner_source=await integrations.partner_source(wanted.suffix),
            integration_id=found.integration.id if found else None,
            topics=wanted.topics,
        )


async def enable_source(suffix: str, *, apply: bool) -> Outcome:
    """Enable the source of that suffix; Permanent when there is none."""
    async with _integrations() as integrations:
        sources = await integrations.event_sources()
        named = [one for one in sources if one.draft.source and one.draft.source.suffix == suffix]
        if not named:
            raise Permanent("no source has this suffix: create it first")
        found = named[0]
        steps: tuple[Step, ...] = () if found.integration.enabled else ("enable",)
        if apply and steps:
            await integrations.enable(found)
        return Outcome(
            steps=steps,
            applied=apply and bool(steps),
            partner_source=await integrations.partner_source(suffix),
            integration_id=found.integration.id,
            topics=found.draft.source.topics if found.draft.source else (),
        )


async def sources_of() -> list[dict[str, Any]]:
    """Return every source there is, as plain data."""
    async with _integrations() as integrations:
        return [await _row(integrations, one) for one in await integrations.event_sources()]


async def _row(integrations: "Integrations", one: "EventSource") -> dict[str, Any]:
    source = one.draft.source
    return {
        "integrationId": one.integration.id,
        "name": one.draft.name,
        "enabled": one.integration.enabled,
        "partnerSource": source and await integrations.partner_source(source.suffix),
        "accountId": source and source.account_id,
        "region": source and source.region,
        "topics": list(source.topics) if source else [],
    }


@asynccontextmanager
async def _integrations() -> "AsyncIterator[Integrations]":
    from worker.app.command_line import open_context, open_genesys
    from worker.clients.genesys import Integrations, dialect_of
    from worker.settings import Genesys

    async with open_context(Genesys) as context:
        if "integrations" not in dialect_of(context.settings.genesys).features:
            raise ConfigurationError(["GENESYS_DIALECT: only the platform has event sources"])
        yield Integrations((await open_genesys(context)).api)
