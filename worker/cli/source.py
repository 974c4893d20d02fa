"""`worker source`: the Genesys side of EventBridge, made once per organization."""

import dataclasses
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

UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

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

    def check(value: str | None) -> str | None:
        if value is not None and re.fullmatch(pattern, value) is None:
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


_of_account = _like(r"[0-9]{12}", "an account of 12 digits")
_of_region = _like(r"[a-z]{2,4}(-[a-z]+)+-[0-9]", "an AWS region")
_WHERE_SEVERAL = "where several sources have the suffix."

Account = Annotated[str, typer.Option(help="AWS account.", callback=_of_account)]
Region = Annotated[str, typer.Option(help="AWS region.", callback=_of_region)]
TheAccount = Annotated[
    str | None, typer.Option(help=f"AWS account, {_WHERE_SEVERAL}", callback=_of_account)
]
TheRegion = Annotated[
    str | None, typer.Option(help=f"AWS region, {_WHERE_SEVERAL}", callback=_of_region)
]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        help="Topic to send; repeat for more. If none: those of the jobs that are on, or of "
        "all known jobs where no job is on."
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Send these topics only: others that it sends are removed."),
]
Take = Annotated[
    str | None,
    typer.Option(
        help="Configure this integration, which is there and not configured, and make none.",
        metavar="ID",
        callback=_like(UUID, "the id of an integration"),
    ),
]


@app.command(epilog=examples(*CREATE))
def create(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    suffix: Suffix,
    account: Account,
    region: Region,
    topic: Topics = None,
    replace: Replace = False,
    take: Take = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Make the integration and configure it; run again, it adds the topics that are missing.

    An integration may serve others, too: their topics, notes and settings stay as they are, but for
    topics with --replace. The dry run shows each topic that would be added or removed.
    """
    from worker.clients.genesys import SourceConfig

    wanted = SourceConfig(
        account_id=account, region=region, suffix=suffix, topics=tuple(topic or wanted_topics())
    )
    change = Change(wanted, replace=replace, take=take, apply=apply)
    _print(finish(create_source(change)), as_json=as_json)


@app.command(epilog=examples("worker source enable prod-events --apply"))
def enable(
    suffix: Suffix,
    account: TheAccount = None,
    region: TheRegion = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Enable the integration; events flow once its bus exists."""
    _print(finish(enable_source(suffix, account, region, apply=apply)), as_json=as_json)


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
        place = f"  {row['accountId']} {row['region']}" if row["accountId"] else ""
        source = row["partnerSource"] or "(not configured)"
        typer.echo(f"{source}  {state}  {row['integrationId']}{place}")
        for topic in row["topics"]:
            typer.echo(f"  {topic}")


def wanted_topics() -> tuple[str, ...]:
    """Return the topics of the jobs that are on, or of all known jobs where none is."""
    from worker.app.command_line import settings_of
    from worker.app.jobs import topics_of
    from worker.settings import Handlers

    settings = settings_of(Handlers)
    return topics_of(settings.enabled_jobs(), settings.jobs)


def _print(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
        return
    what = ", ".join(outcome.steps) or "nothing: it is as wanted"
    typer.echo(f"{'done' if outcome.applied else 'to do'}: {what}")
    typer.echo(f"partner source: {outcome.partner_source}")
    typer.echo(f"integration: {outcome.integration_id or 'a new one'}")
    for topic in outcome.added:
        typer.echo(f"+ {topic}")
    for topic in outcome.removed:
        typer.echo(f"- {topic}")
    for one in outcome.unconfigured:
        typer.echo(f"{one} is there, too, and not configured: --take {one} makes it this source")
    if outcome.steps and not outcome.applied:
        typer.echo("Nothing was changed. Add --apply to do it.")
    for number, step in enumerate(outcome.next_steps(), start=1):
        typer.echo(f"next {number}: {step}")


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

    had: tuple[str, ...] = ()
    """What it was configured to send."""

    enabled: bool = False
    unconfigured: tuple[str, ...] = ()
    """Ids of integrations that are not configured, of an earlier run or of another team."""

    @property
    def added(self) -> tuple[str, ...]:
        """Topics that it did not send before."""
        return tuple(topic for topic in self.topics if topic not in self.had)

    @property
    def removed(self) -> tuple[str, ...]:
        """Topics that it sends no more."""
        return tuple(topic for topic in self.had if topic not in self.topics)

    def next_steps(self) -> list[str]:
        """Return the commands that are left until events flow."""
        if self.enabled:
            return []
        name = self.partner_source
        return [
            f"aws events create-event-bus --name {name} --event-source-name {name}",
            f"worker source enable {name.rpartition('/')[2]} --apply",
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "integrationId": self.integration_id,
            "partnerSource": self.partner_source,
            "steps": list(self.steps),
            "applied": self.applied,
            "topics": list(self.topics),
            "added": list(self.added),
            "removed": list(self.removed),
            "enabled": self.enabled,
            "unconfigured": list(self.unconfigured),
            "next": self.next_steps(),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for."""

    wanted: "SourceConfig"
    replace: bool = False
    """Whether topics that it sends, and that are not wanted, are removed."""

    take: str | None = None
    """Id of an integration that is not configured."""

    apply: bool = False

    def matching(self, sources: "Sequence[EventSource]") -> "EventSource | None":
        """Return the source of that suffix, or else the one to be taken; None: it is to be made.

        One that is not configured is never taken unasked: it may be what another team is about to
        configure. Raises Permanent when the suffix is another account's alone.
        """
        wanted = self.wanted
        ours = _named(sources, wanted.suffix, wanted.account_id, wanted.region)
        if not ours and _named(sources, wanted.suffix):
            raise Permanent(
                "a source of this suffix feeds another account or region: choose another suffix"
            )
        for one in ours[:1]:
            if self.take not in {None, one.integration.id}:
                raise Permanent(f"{one.integration.id} has this suffix: none is to be taken")
            return one
        return self._taken(sources) if self.take else None

    def _taken(self, sources: "Sequence[EventSource]") -> "EventSource":
        for one in sources:
            if one.integration.id == self.take:
                if one.draft.source is not None:
                    raise Permanent(f"{self.take} is configured: as {one.draft.source.suffix}")
                return one
        raise Permanent(f"{self.take} is no EventBridge integration of this organization")

    def topics(self, found: "EventSource | None") -> tuple[str, ...]:
        """Return what the source is to send: what it sends, and what is wanted."""
        theirs = () if self.replace else _topics_of(found)
        return tuple(dict.fromkeys((*theirs, *self.wanted.topics)))

    def steps(self, found: "EventSource | None") -> tuple[Step, ...]:
        """Return the steps that make the source as wanted; none when it is."""
        if found is None:
            return ("create", "configure")
        is_same = set(_topics_of(found)) == set(self.topics(found))
        return () if found.draft.source is not None and is_same else ("configure",)


def _named(
    sources: "Sequence[EventSource]",
    suffix: str,
    account: str | None = None,
    region: str | None = None,
) -> "list[EventSource]":
    """Return the sources of a suffix, in that account and region where they are given.

    Suffix, account and region make up a source: two accounts may have the same suffix.
    """
    return [
        one
        for one in sources
        if (theirs := one.draft.source) is not None
        and theirs.suffix == suffix
        and account in {None, theirs.account_id}
        and region in {None, theirs.region}
    ]


def _topics_of(one: "EventSource | None") -> tuple[str, ...]:
    return one.draft.source.topics if one and one.draft.source else ()


async def create_source(change: Change) -> Outcome:
    """Make the source, or change its topics; without `apply` only return what would be done."""
    async with _integrations() as integrations:
        sources = await integrations.event_sources()
        found = change.matching(sources)
        steps, topics, had = change.steps(found), change.topics(found), _topics_of(found)
        spare = [one.integration.id for one in sources if one.draft.source is None]
        if change.apply and steps:
            found = found or await integrations.create()
            await integrations.configure(found, dataclasses.replace(change.wanted, topics=topics))
        return Outcome(
            steps=steps,
            applied=change.apply and bool(steps),
            partner_source=await integrations.partner_source(change.wanted.suffix),
            integration_id=found.integration.id if found else None,
            topics=topics,
            had=had,
            enabled=bool(found and found.integration.enabled),
            unconfigured=tuple(spare) if "create" in steps else (),
        )


async def enable_source(
    suffix: str, account: str | None = None, region: str | None = None, *, apply: bool
) -> Outcome:
    """Enable the source of that suffix; Permanent when there is none, or more than one."""
    async with _integrations() as integrations:
        named = _named(await integrations.event_sources(), suffix, account, region)
        if not named:
            raise Permanent("no source has this suffix: create it first")
        if len(named) > 1:
            places = ", ".join(
                f"{one.draft.source.account_id} {one.draft.source.region}"
                for one in named
                if one.draft.source
            )
            raise Permanent(
                f"sources of this suffix feed {places}: name yours by --account and --region"
            )
        found = named[0]
        steps: tuple[Step, ...] = () if found.integration.enabled else ("enable",)
        if apply and steps:
            await integrations.enable(found)
        return Outcome(
            steps=steps,
            applied=apply and bool(steps),
            partner_source=await integrations.partner_source(suffix),
            integration_id=found.integration.id,
            topics=_topics_of(found),
            had=_topics_of(found),
            enabled=not steps or apply,
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
