"""Flow inputs and attributes: requests and replies of both dialects. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker.clients.genesys import live, wire
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.domain.attributes.schema import Schema, of_definitions, of_json_schema
from worker.errors import Permanent
from worker.events.fields import UUID

NO_SUCH_FLOW = {404, 410}
FLOWS = "architect"
"""The upstream that knows flows."""

_CONVERSATIONS = "/api/v2/conversations"


@dataclass(frozen=True, slots=True)
class Participant:
    """Whom attributes are written to."""

    id: str
    attributes: Mapping[str, str] | None = field(default=None, repr=False)
    """What it has now; None when nobody asked."""


class AttributeDialect(Protocol):
    """How attributes are asked for and written; ids that fit no path are Permanent."""

    @property
    def by_participant(self) -> bool:
        """Attributes belong to a participant, and not to the conversation."""

    def flow_inputs(self, flow_id: str) -> Call[Schema | None]:
        """Ask for the inputs of a flow; None: there is no such flow, or none is published."""

    def set_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, str]
    ) -> Call[None]:
        """Merge attributes into those that are there."""

    def set_conversation_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, str]
    ) -> Call[None]:
        """Do the same for what is about the conversation, as r3 of the reference dialect has it."""


@dataclass(frozen=True, slots=True)
class PlatformAttributes:
    """The real API (README.md, "Flows, conversations, attributes")."""

    by_participant: bool = True

    def flow_inputs(self, flow_id: str) -> Call[Schema | None]:
        """Read the JSON Schema of the published version: that is what runs."""
        return Call(_flow(flow_id), _published_inputs, FLOWS)

    def set_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, str]
    ) -> Call[None]:
        """PATCH the participant; any 2xx will do: it was 202 once."""
        path = f"/{_id('conversation', conversation_id)}/participants/"
        request = Request(
            method="PATCH",
            path=f"{_CONVERSATIONS}{path}{_id('participant', participant_id)}/attributes",
            template=f"{_CONVERSATIONS}/{{conversationId}}/participants/{{id}}/attributes",
            json={"attributes": dict(attributes)},
        )
        return Call(request, _written, live.UPSTREAM)

    def set_conversation_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, str]
    ) -> Call[None]:
        """PATCH the customer: the platform keeps attributes nowhere else."""
        return self.set_attributes(conversation_id, participant_id, attributes)


@dataclass(frozen=True, slots=True)
class ReferenceAttributes:
    """The reference dialect, by its texts r2 and r3: no participants."""

    by_participant: bool = False

    def flow_inputs(self, flow_id: str) -> Call[Schema | None]:
        """Read `inputDefinitions`."""
        return Call(_flow(flow_id), _defined_inputs, FLOWS)

    def set_attributes(
        self,
        conversation_id: str,
        participant_id: str | None,  # noqa: ARG002  there are none in r2
        attributes: Mapping[str, str],
    ) -> Call[None]:
        """PATCH the conversation, as r2 does."""
        request = _about("PATCH", conversation_id, "", attributes)
        return Call(request, _written, live.UPSTREAM)

    def set_conversation_attributes(
        self,
        conversation_id: str,
        participant_id: str | None,  # noqa: ARG002  there are none in r3
        attributes: Mapping[str, str],
    ) -> Call[None]:
        """PUT the conversation's attributes, as r3 does; a 409 is Rejected with that status."""
        request = _about("PUT", conversation_id, "/attributes", attributes)
        return Call(request, _written, live.UPSTREAM)


def attribute_dialect_of(name: str) -> AttributeDialect:
    """Return the dialect that GENESYS_DIALECT names."""
    return ReferenceAttributes() if name == "reference" else PlatformAttributes()


def live_customer(conversation_id: str) -> Call[Participant | None]:
    """Ask for a live conversation's customer and what it has; None: it has no customer."""
    return Call(live.conversation(conversation_id), _customer, live.UPSTREAM)


def _flow(flow_id: str) -> Request:
    path = "/api/v2/flows"
    return Request(
        method="GET", path=f"{path}/{_id('flow', flow_id)}", template=f"{path}/{{flowId}}"
    )


def _about(method: str, conversation_id: str, tail: str, attributes: Mapping[str, str]) -> Request:
    return Request(
        method=method,
        path=f"{_CONVERSATIONS}/{_id('conversation', conversation_id)}{tail}",
        template=f"{_CONVERSATIONS}/{{conversationId}}{tail}",
        json={"attributes": dict(attributes)},
    )


def _id(what: str, value: str | None) -> str:
    """Return the id if it is a UUID. Quoting alone is not enough: clients undo quoted dots."""
    if value is None or UUID.fullmatch(value) is None:
        raise Permanent(f"{what} id is not a UUID")
    return value


def _published_inputs(reply: Reply) -> Schema | None:
    if reply.status in NO_SUCH_FLOW:
        return None
    version = wire.object_of(reply).get("publishedVersion")
    document = version.get("inputSchema") if isinstance(version, dict) else None
    return of_json_schema(document) if isinstance(document, dict) else None


def _defined_inputs(reply: Reply) -> Schema | None:
    if reply.status in NO_SUCH_FLOW:
        return None
    definitions = wire.object_of(reply).get("inputDefinitions")
    return of_definitions(definitions) if isinstance(definitions, list) else None


def _written(reply: Reply) -> None:
    if not 200 <= reply.status < 300:
        raise wire.failure_of(reply)


def _customer(reply: Reply) -> Participant | None:
    known = (who for who in live.customers_of(reply) if isinstance(who.get("id"), str))
    return next(map(_participant, known), None)


def _participant(who: Mapping[str, Any]) -> Participant:
    attributes = who.get("attributes")
    return Participant(who["id"], attributes if isinstance(attributes, dict) else {})
