"""Attributes of live conversations and their participants, by what a flow declares.

A flow's `inputSchema` is a JSON Schema; the reference dialect has `inputDefinitions` instead
(README.md). Read leniently: what is odd about a declaration is no reason to write nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.conversations import customers_of, live_conversation
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Misconfigured, NotYet
from worker.resilience import Cache, CachePolicy


def flow_cache(max_entries: int) -> CachePolicy:
    """Return how flows are kept: a publish is seen within five minutes.

    What a flow takes rarely changes within a day: so long it serves while Genesys is down.
    """
    return CachePolicy(
        max_entries, soft_ttl_seconds=300, hard_ttl_seconds=86_400, negative_ttl_seconds=60
    )


NO_FLOW_PAUSE_SECONDS = 60.0
"""Pause after a missing flow: a person publishes it or corrects GENESYS_FLOW_ID."""

NO_SUCH_FLOW = {404, 410}

FLOW_PREFIX = "Flow."
"""Before a flow's variables in Architect; their schema may have it, a customer's record has not."""


class Kind(StrEnum):
    """What a declared input takes; the values are JSON Schema's words, and what reports print."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    """A string with `format` `date` or `date-time`."""

    ANY = "any"
    """Undeclared, or of a kind we know nothing of: values pass as they are."""


Schema = Mapping[str, Kind]
"""Kinds by name, without `Flow.`."""

_KINDS: Mapping[str, Kind] = {
    **{kind.value: kind for kind in Kind},
    "datetime": Kind.DATE,
    "date-time": Kind.DATE,
    "bool": Kind.BOOLEAN,
    "int": Kind.INTEGER,
    "decimal": Kind.NUMBER,
    "float": Kind.NUMBER,
}
_TYPE = re.compile(r"[A-Z]{1,40}")
_DATES = {"date", "date-time"}


def published_inputs(flow_id: str) -> Call[Schema | None]:
    """Ask for the JSON Schema of the published version: that is what runs, or of the flow itself.

    None: the flow does not exist, or is not published.
    """
    return Call(_flow(flow_id), _published_inputs, wire.FLOWS)


def defined_inputs(flow_id: str) -> Call[Schema | None]:
    """Ask for the `inputDefinitions` of the reference dialect; None: the flow does not exist."""
    return Call(_flow(flow_id), _defined_inputs, wire.FLOWS)


def of_json_schema(document: Mapping[str, Any]) -> Schema:
    """Read the `properties` of a JSON Schema."""
    properties = document.get("properties")
    if not isinstance(properties, dict):
        return MappingProxyType({})
    return _schema({name: _declared(value) for name, value in properties.items()})


def of_definitions(definitions: object) -> Schema:
    """Read `inputDefinitions`: a list of `name` and `dataType`; entries without a name are none."""
    listed = definitions if isinstance(definitions, list) else []
    return _schema(
        {
            entry["name"]: _kind(entry.get("dataType"))
            for entry in listed
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }
    )


def schema_of(document: Mapping[str, Any]) -> Schema | None:
    """Read a flow of either dialect, or a JSON Schema alone; None for neither."""
    if "publishedVersion" not in document and "inputDefinitions" in document:
        return of_definitions(document["inputDefinitions"])
    version = document.get("publishedVersion")
    places = (version if isinstance(version, dict) else {}, document)
    listed = (*(place.get("inputSchema") for place in places), document)
    found = next((one for one in listed if isinstance(one, dict) and "properties" in one), None)
    return None if found is None else of_json_schema(found)


def _schema(kinds: Mapping[str, Kind]) -> Schema:
    named = {name.removeprefix(FLOW_PREFIX): kind for name, kind in kinds.items()}
    return MappingProxyType({name: kind for name, kind in named.items() if name})


def _declared(value: object) -> Kind:
    if not isinstance(value, dict):
        return Kind.ANY
    kind = value.get("type")
    if isinstance(kind, list):  # ["string", "null"]: null is no value, whatever is declared
        kind = next((one for one in kind if one != "null"), None)
    if kind == Kind.STRING and str(value.get("format")) in _DATES:
        return Kind.DATE
    return _kind(kind)


def _kind(word: object) -> Kind:
    return _KINDS.get(word.lower(), Kind.ANY) if isinstance(word, str) else Kind.ANY


def _flow(flow_id: str) -> Request:
    path = "/api/v2/flows"
    return Request(
        method="GET",
        path=f"{path}/{wire.uuid_in_path('flow', flow_id)}",
        template=f"{path}/{{flowId}}",
    )


def _published_inputs(reply: Reply) -> Schema | None:
    if reply.status in NO_SUCH_FLOW:
        return None
    flow = wire.object_of(reply)
    version = flow.get("publishedVersion")
    document = version.get("inputSchema") if isinstance(version, dict) else None
    document = document or flow.get("inputSchema")
    if isinstance(document, dict) and (declared := of_json_schema(document)):
        return declared
    if version is None and not isinstance(document, dict):
        return None
    # Such as an inbound call flow, or a workflow whose variables are none of them inputs: it is
    # there and runs, and no attribute would ever fit it.
    raise Misconfigured(
        f"genesys: the flow declares no inputs (it is of type {_type_of(flow)})",
        setting="GENESYS_FLOW_ID",
        remedy="set GENESYS_FLOW_ID to a flow that declares inputs, such as a workflow",
        retry_after=NO_FLOW_PAUSE_SECONDS,
    )


def _type_of(flow: Mapping[str, Any]) -> str:
    kind = str(flow.get("type"))
    return kind if _TYPE.fullmatch(kind) else "unknown"


def _defined_inputs(reply: Reply) -> Schema | None:
    if reply.status in NO_SUCH_FLOW:
        return None
    definitions = wire.object_of(reply).get("inputDefinitions")
    return of_definitions(definitions) if isinstance(definitions, list) else None


_CONVERSATIONS = "/api/v2/conversations"


@dataclass(frozen=True, slots=True)
class Participant:
    """Whom attributes are written to."""

    id: str
    attributes: Mapping[str, str] | None = field(default=None, repr=False)
    """What it has now; None when it was not asked for."""


class AttributeDialect(Protocol):
    """How attributes are asked for and written; ids that fit no path are Permanent."""

    @property
    def by_participant(self) -> bool:
        """Attributes belong to a participant, and not to the conversation."""

    @property
    def typed(self) -> bool:
        """Values are what JSON has, and not all of them texts."""

    def flow_inputs(self, flow_id: str) -> Call[Schema | None]:
        """Ask for the inputs of a flow; None: the flow does not exist, or is not published."""

    def set_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, object]
    ) -> Call[None]:
        """Merge attributes into those that are there."""

    def set_conversation_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, object]
    ) -> Call[None]:
        """Do the same for what is about the conversation, as r3 of the reference dialect has it."""


class PlatformAttributes(Struct, frozen=True):
    """The real API (README.md, "Flows, conversations, attributes")."""

    by_participant: bool = True
    typed: bool = False

    def flow_inputs(self, flow_id: str) -> Call[Schema | None]:
        """Read the JSON Schema of the published version: that is what runs."""
        return published_inputs(flow_id)

    def set_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, object]
    ) -> Call[None]:
        """PATCH the participant; any 2xx will do: it was 202 once."""
        conversation = wire.conversation_id_in_path(conversation_id)
        participant = wire.uuid_in_path("participant", participant_id)
        request = Request(
            method="PATCH",
            path=f"{_CONVERSATIONS}/{conversation}/participants/{participant}/attributes",
            template=f"{_CONVERSATIONS}/{{conversationId}}/participants/{{id}}/attributes",
            json={"attributes": dict(attributes)},
        )
        return Call(request, _written, wire.CONVERSATIONS)

    def set_conversation_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, object]
    ) -> Call[None]:
        """PATCH the customer: the platform keeps attributes nowhere else."""
        return self.set_attributes(conversation_id, participant_id, attributes)


class ReferenceAttributes(Struct, frozen=True):
    """The reference dialect, by its texts r2 and r3: no participants."""

    by_participant: bool = False
    typed: bool = True

    def flow_inputs(self, flow_id: str) -> Call[Schema | None]:
        """Read `inputDefinitions`."""
        return wire.taking("flow:read", defined_inputs(flow_id))

    def set_attributes(
        self,
        conversation_id: str,
        participant_id: str | None,  # noqa: ARG002  there are none in r2
        attributes: Mapping[str, object],
    ) -> Call[None]:
        """PATCH the conversation, as r2 does."""
        return _about("PATCH", conversation_id, "", attributes)

    def set_conversation_attributes(
        self,
        conversation_id: str,
        participant_id: str | None,  # noqa: ARG002  there are none in r3
        attributes: Mapping[str, object],
    ) -> Call[None]:
        """PUT the conversation's attributes, as r3 does; a 409 is Rejected with that status."""
        return _about("PUT", conversation_id, "/attributes", attributes)


def live_customer(conversation_id: str) -> Call[Participant | None]:
    """Ask for a live conversation's customer and what it has; None: it has no customer."""
    return Call(live_conversation(conversation_id), _customer, wire.CONVERSATIONS)


def _about(
    method: str, conversation_id: str, tail: str, attributes: Mapping[str, object]
) -> Call[None]:
    request = Request(
        method=method,
        path=f"{_CONVERSATIONS}/{wire.conversation_id_in_path(conversation_id)}{tail}",
        template=f"{_CONVERSATIONS}/{{conversationId}}{tail}",
        json={"attributes": dict(attributes)},
    )
    return wire.taking("conversation:write", Call(request, _written, wire.CONVERSATIONS))


def _written(reply: Reply) -> None:
    if not 200 <= reply.status < 300:
        raise wire.failure_of(reply)


def _customer(reply: Reply) -> Participant | None:
    known = (who for who in customers_of(reply) if isinstance(who.get("id"), str))
    return next(map(_participant, known), None)


def _participant(who: Mapping[str, Any]) -> Participant:
    attributes = who.get("attributes")
    return Participant(who["id"], attributes if isinstance(attributes, dict) else {})


class Attributes:
    """The verbs. Each raises the error tree of `worker.errors`, and nothing else."""

    def __init__(self, api: Api, dialect: AttributeDialect, cache: Cache[str, Schema]) -> None:
        self._api = api
        self._dialect = dialect
        self._flows = cache

    @property
    def typed(self) -> bool:
        """Whether values are written as JSON has them: the platform takes texts alone."""
        return self._dialect.typed

    async def flow_inputs(self, flow_id: str) -> Schema:
        """Return what the flow declares.

        Misconfigured when the flow does not exist or is not published.
        """
        cached = await self._flows.get(
            flow_id, lambda: self._api.run(self._dialect.flow_inputs(flow_id))
        )
        if cached.value is None:
            raise Misconfigured(
                "genesys: no published flow of that id",
                setting="GENESYS_FLOW_ID",
                remedy="publish the flow, or set GENESYS_FLOW_ID to one that is",
                retry_after=NO_FLOW_PAUSE_SECONDS,
            )
        return cached.value

    async def customer(self, conversation_id: str, participant_id: str | None) -> Participant:
        """Return whom to write to: the named participant, else the customer of the conversation.

        What a named one has is not asked for: that would double the requests of every event, and
        writing the same again does no harm. Raises NotYet when no customer is there.
        """
        if participant_id is not None or not self._dialect.by_participant:
            return Participant(participant_id or "")
        found = await self._api.run(live_customer(conversation_id))
        if found is None:
            raise NotYet("the conversation has no customer")
        return found

    async def set_attributes(
        self, conversation_id: str, participant: Participant, attributes: Mapping[str, object]
    ) -> None:
        """Merge attributes into the participant's; safe to repeat. 403, 404, 409 are Rejected."""
        await self._api.run(
            self._dialect.set_attributes(conversation_id, participant.id, attributes)
        )

    async def set_conversation_attributes(
        self,
        conversation_id: str,
        attributes: Mapping[str, object],
        participant_id: str | None = None,
    ) -> None:
        """Merge attributes into those of the conversation; on the platform, of its customer.

        `participant_id`: the customer's, where it is known; without it, it is asked for.
        """
        customer = await self.customer(conversation_id, participant_id)
        await self._api.run(
            self._dialect.set_conversation_attributes(conversation_id, customer.id, attributes)
        )
