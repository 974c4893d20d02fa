"""What has to be done for an event source to be as wanted, and the doing of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from worker.cli.upstream import open_genesys
from worker.clients.genesys.dialects import dialect_of
from worker.clients.genesys.integrations import EventSource, Integrations, SourceConfig
from worker.errors import ConfigurationError, Permanent
from worker.settings import Genesys

Step = Literal["create", "configure", "enable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found, and what was or would be done."""

    steps: tuple[Step, ...]
    applied: bool
    partner_source: str
    """Name of the event source at AWS, and of the bus that must be made for it."""

    integration_id: str | None
    """None: it would be made."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "integrationId": self.integration_id,
            "partnerSource": self.partner_source,
            "steps": list(self.steps),
            "applied": self.applied,
        }


def matching(sources: Sequence[EventSource], wanted: SourceConfig) -> EventSource | None:
    """Return the source of that suffix, or else one that nobody has configured yet.

    An unconfigured one is what an earlier run left that was cut short: making another each time
    would fill the organization with them. Raises Permanent when the suffix is another account's.
    """
    for one in sources:
        theirs = one.draft.source
        if theirs is not None and theirs.suffix == wanted.suffix:
            if (theirs.account_id, theirs.region) != (wanted.account_id, wanted.region):
                raise Permanent("a source of this suffix feeds another account or region")
            return one
    return next((one for one in sources if one.draft.source is None), None)


def steps_to(wanted: SourceConfig, found: EventSource | None) -> tuple[Step, ...]:
    """Return what makes the source as wanted; nothing when it is."""
    if found is None:
        return ("create", "configure")
    theirs = found.draft.source
    same = theirs is not None and set(theirs.topics) == set(wanted.topics)
    return () if same else ("configure",)


async def create_source(settings: Genesys, wanted: SourceConfig, *, apply: bool) -> Outcome:
    """Make the source, or change its topics; without `apply` only tell what would be done."""
    async with _integrations(settings) as integrations:
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
        )


async def enable_source(settings: Genesys, suffix: str, *, apply: bool) -> Outcome:
    """Switch the source of that suffix on; Permanent when there is none."""
    async with _integrations(settings) as integrations:
        sources = await integrations.event_sources()
        named = [one for one in sources if one.draft.source and one.draft.source.suffix == suffix]
        if not named:
            raise Permanent("there is no source of this suffix: create it first")
        found = named[0]
        steps: tuple[Step, ...] = () if found.integration.enabled else ("enable",)
        if apply and steps:
            await integrations.enable(found)
        return Outcome(
            steps=steps,
            applied=apply and bool(steps),
            partner_source=await integrations.partner_source(suffix),
            integration_id=found.integration.id,
        )


async def sources_of(settings: Genesys) -> list[dict[str, Any]]:
    """Return every source there is, as plain data."""
    async with _integrations(settings) as integrations:
        return [await _row(integrations, one) for one in await integrations.event_sources()]


async def _row(integrations: Integrations, one: EventSource) -> dict[str, Any]:
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
async def _integrations(settings: Genesys) -> AsyncIterator[Integrations]:
    if "integrations" not in dialect_of(settings).features:
        raise ConfigurationError(["GENESYS_DIALECT: only the platform has event sources"])
    async with open_genesys(settings) as api:
        yield Integrations(api)
