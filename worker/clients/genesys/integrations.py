"""The integration that sends Genesys Cloud's events to EventBridge: found, made, switched on.

Of the platform only (README.md, "EventBridge"): what the reference dialect's text has for it does
not exist.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from msgspec import Struct

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Permanent, Rejected, Unreadable

EVENT_BRIDGE = "amazon-eventbridge-source"
PAGE_SIZE = 100
GONE = {404, 410}

_BASE = "/api/v2/integrations"
_CONFIG = "config/current"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """Where events go, and which. Account, region and suffix make up the partner source."""

    account_id: str
    region: str
    suffix: str
    topics: tuple[str, ...]
    """With a literal `{id}`, as rules on the bus have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The current configuration of an integration."""

    version: int | None
    """To be sent back on a change: the platform refuses a change of what it is not the latest."""

    name: str
    source: SourceConfig | None
    """None: not configured yet."""

    as_read: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All of it, credentials included: a change replaces the whole, and others rely on the rest."""


class Integration(Struct, frozen=True):
    """An EventBridge integration, without its configuration."""

    id: str
    enabled: bool


class Page(Struct, frozen=True):
    """One page of integrations; those of other types are left out."""

    found: tuple[Integration, ...]
    is_last: bool


class Topics(Struct, frozen=True):
    """The notification topics of an organization, and what carries them."""

    transports: Mapping[str, tuple[str, ...]]

    def transports_of(self, topic: str) -> tuple[str, ...] | None:
        """Return what carries a topic, empty where that is not said; None for an unknown topic.

        Topics are alike whatever their ids are called: `{id}`, `{conversationId}`.
        """
        return self.transports.get(_plain(topic))

    def is_on_event_bridge(self, topic: str) -> bool:
        """Return whether EventBridge is among them; how it is spelt is not published."""
        names = {name.replace(" ", "").lower() for name in self.transports_of(topic) or ()}
        return not names.isdisjoint(EVENT_BRIDGE_NAMES)


EVENT_BRIDGE_NAMES = {"all", "eventbridge", "amazoneventbridge"}
_TOPICS = "/api/v2/notifications/availabletopics"


def available_topics() -> Call[Topics]:
    """Ask which topics there are and what carries them; takes no permission."""
    return Call(
        Request(method="GET", path=f"{_TOPICS}?expand=transports", template=_TOPICS), _topics
    )


def _topics(reply: Reply) -> Topics:
    listed = wire.objects_in(wire.object_of(reply).get("entities"))
    return Topics({_plain(str(one.get("id"))): _carriers(one.get("transports")) for one in listed})


def _carriers(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _plain(topic: str) -> str:
    return re.sub(r"\{[^{}]*\}", "{}", topic)


def limits_in(namespace: str) -> Call[Mapping[str, int]]:
    """Ask for the limits that hold for the organization, by key; takes no permission."""
    path = "/api/v2/organizations/limits/namespaces"
    request = Request(
        method="GET", path=f"{path}/{namespace}", template=f"{path}/{{namespaceName}}"
    )
    return Call(request, _limits)


def _limits(reply: Reply) -> Mapping[str, int]:
    listed = wire.objects_in(wire.object_of(reply).get("entities"))
    pairs = ((wire.text_of(one.get("key")), one.get("value")) for one in listed)
    return {
        key: int(value)
        for key, value in pairs
        if key and isinstance(value, int | float) and not isinstance(value, bool)
    }


def organization_id() -> Call[str]:
    """Ask for the id that stands in the name of the partner source."""
    path = "/api/v2/organizations/me"
    return Call(Request(method="GET", path=path, template=path), _id)


def integrations(page: int) -> Call[Page]:
    """Ask for a page of all integrations, from 1: the list's own filter is not documented."""
    query = f"?pageSize={PAGE_SIZE}&pageNumber={page}"
    request = Request(method="GET", path=f"{_BASE}{query}", template=_BASE)
    return Call(request, partial(_page, page))


def create() -> Call[str]:
    """Make an integration, disabled and not configured; the answer is its id."""
    body = {"integrationType": {"id": EVENT_BRIDGE}}
    return Call(Request(method="POST", path=_BASE, template=_BASE, json=body), _id)


def draft(integration_id: str) -> Call[Draft]:
    """Ask for the configuration."""
    return Call(_about("GET", integration_id, _CONFIG), _draft)


def configure(integration_id: str, latest: Draft) -> Call[None]:
    """Replace the configuration; `version` is that of the one replaced.

    What was read goes back as it was, but for name and source.
    """
    source = latest.source
    if source is None:
        raise Permanent("an integration cannot be configured with nothing")
    if latest.version is None:
        raise Unreadable("genesys: integration config without version")
    kept = {name: value for name, value in latest.as_read.items() if name not in _READ_ONLY}
    body = {
        "advanced": {},
        "notes": "",
        "credentials": {},
        **{name: value for name, value in kept.items() if value is not None},
        "name": latest.name,
        "version": latest.version,
        "properties": {
            **_object(latest.as_read.get("properties")),
            "awsAccountId": source.account_id,
            "awsAccountRegion": source.region,
            "eventSourceSuffix": source.suffix,
            "eventFilter": list(source.topics),
        },
    }
    return Call(_about("PUT", integration_id, _CONFIG, body), _done)


_READ_ONLY = {"id", "selfUri"}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def enable(integration_id: str) -> Call[None]:
    """Start the flow of events."""
    return Call(_about("PATCH", integration_id, "", {"intendedState": "ENABLED"}), _done)


def _about(method: str, integration_id: str, tail: str, body: Any = None) -> Request:
    if not wire.is_uuid(integration_id):
        raise Permanent("integration id is not a UUID")
    parts = ["", tail] if tail else [""]
    return Request(
        method=method,
        path=f"{_BASE}/{integration_id}{'/'.join(parts)}",
        template=f"{_BASE}/{{integrationId}}{'/'.join(parts)}",
        json=body,
    )


def _id(reply: Reply) -> str:
    found = wire.object_of(reply).get("id")
    if not isinstance(found, str):
        raise Unreadable("genesys: reply without an id")
    return found


def _page(number: int, reply: Reply) -> Page:
    answer = wire.object_of(reply)
    listed = answer.get("entities")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found = tuple(
        Integration(str(one.get("id")), enabled=one.get("intendedState") == "ENABLED")
        for one in entries
        if _type_of(one) == EVENT_BRIDGE
    )
    # A server may give less than it is asked for: the length of a page alone says nothing.
    pages = answer.get("pageCount")
    is_short = number >= pages if isinstance(pages, int) else len(entries) < PAGE_SIZE
    return Page(found, is_last=not entries or is_short)


def _type_of(integration: Mapping[str, Any]) -> object:
    return _object(integration.get("integrationType")).get("id")


def _draft(reply: Reply) -> Draft:
    answer = wire.object_of(reply)
    version, name = answer.get("version"), answer.get("name")
    return Draft(
        # What is odd about another team's integration is no reason to see none of ours.
        version=version if isinstance(version, int) else None,
        name=wire.text_of(name) or DEFAULT_NAME,
        source=_source(_object(answer.get("properties"))),
        as_read=answer,
    )


def _source(properties: Mapping[str, Any]) -> SourceConfig | None:
    account, region, suffix = (
        properties.get(name) for name in ("awsAccountId", "awsAccountRegion", "eventSourceSuffix")
    )
    topics = properties.get("eventFilter")
    if not account or not region or not suffix:
        return None
    return SourceConfig(
        account_id=str(account),
        region=str(region),
        suffix=str(suffix),
        topics=tuple(map(str, topics)) if isinstance(topics, list) else (),
    )


def _done(reply: Reply) -> None:
    wire.object_of(reply)


DEFAULT_NAME = "Amazon EventBridge: genesys-event-worker"

PARTNER = "aws.partner/genesys.com/cloud"


class EventSource(Struct, frozen=True):
    """An integration with its configuration."""

    integration: Integration
    draft: Draft


class Integrations:
    """The verbs. Each raises the error tree of `worker.errors`, and nothing else."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def partner_source(self, suffix: str) -> str:
        """Return the name of the partner event source, which is also its event bus's."""
        organization = await self._api.run(organization_id())
        return f"{PARTNER}/{organization}/{suffix}"

    async def event_sources(self) -> list[EventSource]:
        """Return all EventBridge integrations."""
        found: list[EventSource] = []
        number, is_last = 1, False
        while not is_last:
            page = await self._api.run(integrations(number))
            for one in page.found:
                try:
                    found.append(EventSource(one, await self._api.run(draft(one.id))))
                except Rejected as error:
                    if error.status not in GONE:  # it was deleted since it was listed
                        raise
            number, is_last = number + 1, page.is_last
        return found

    async def create(self) -> EventSource:
        """Make one, disabled and not configured. Not sent twice: each call makes another."""
        made = await self._api.run(create(), repeatable=False)
        latest = await self._api.run(draft(made))
        return EventSource(Integration(made, enabled=False), replace(latest, name=DEFAULT_NAME))

    async def configure(self, one: EventSource, source: SourceConfig) -> None:
        """Send its events there; Rejected with status 409 when another change came first."""
        latest = replace(one.draft, source=source)
        await self._api.run(configure(one.integration.id, latest), repeatable=False)

    async def enable(self, one: EventSource) -> None:
        """Switch it on."""
        await self._api.run(enable(one.integration.id))
