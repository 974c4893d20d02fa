"""The integration that sends Genesys Cloud's events to EventBridge: found, made, switched on."""

from dataclasses import dataclass, replace

from worker.clients.genesys import integration_calls as calls
from worker.clients.genesys.api import Api
from worker.clients.genesys.integration_calls import Draft, Integration, SourceConfig

DEFAULT_NAME = "Amazon EventBridge: genesys-event-worker"

PARTNER = "aws.partner/genesys.com/cloud"


@dataclass(frozen=True, slots=True)
class EventSource:
    """An integration with its configuration."""

    integration: Integration
    draft: Draft


class Integrations:
    """The verbs. Each raises the error tree of `worker.errors`, and nothing else."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def partner_source(self, suffix: str) -> str:
        """Return the name of the partner event source, which is also its event bus's."""
        organization = await self._api.run(calls.organization_id())
        return f"{PARTNER}/{organization}/{suffix}"

    async def event_sources(self) -> list[EventSource]:
        """Return all EventBridge integrations."""
        found: list[EventSource] = []
        number, is_last = 1, False
        while not is_last:
            page = await self._api.run(calls.integrations(number))
            found += [
                EventSource(one, await self._api.run(calls.draft(one.id))) for one in page.found
            ]
            number, is_last = number + 1, page.is_last
        return found

    async def create(self) -> EventSource:
        """Make one, disabled and not configured. Not sent twice: each call makes another."""
        made = await self._api.run(calls.create(), repeatable=False)
        draft = await self._api.run(calls.draft(made))
        return EventSource(Integration(made, enabled=False), replace(draft, name=DEFAULT_NAME))

    async def configure(self, one: EventSource, source: SourceConfig) -> None:
        """Send its events there; Rejected with status 409 when somebody was faster."""
        latest = replace(one.draft, source=source)
        await self._api.run(calls.configure(one.integration.id, latest), repeatable=False)

    async def enable(self, one: EventSource) -> None:
        """Switch it on."""
        await self._api.run(calls.enable(one.integration.id))
