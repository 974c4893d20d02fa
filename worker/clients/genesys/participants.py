"""Attributes of live conversations and their participants, by what a flow declares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker.clients.genesys import flows, wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.flows import Schema
from worker.clients.genesys.live import customers_of, live_conversation
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Misconfigured, NotYet
from worker.resilience.cache import Cache

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
        return flows.published_inputs(flow_id)

    def set_attributes(
        self, conversation_id: str, participant_id: str | None, attributes: Mapping[str, str]
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
        return flows.defined_inputs(flow_id)

    def set_attributes(
        self,
        conversation_id: str,
        participant_id: str | None,  # noqa: ARG002  there are none in r2
        attributes: Mapping[str, str],
    ) -> Call[None]:
        """PATCH the conversation, as r2 does."""
        request = _about("PATCH", conversation_id, "", attributes)
        return Call(request, _written, wire.CONVERSATIONS)

    def set_conversation_attributes(
        self,
        conversation_id: str,
        participant_id: str | None,  # noqa: ARG002  there are none in r3
        attributes: Mapping[str, str],
    ) -> Call[None]:
        """PUT the conversation's attributes, as r3 does; a 409 is Rejected with that status."""
        request = _about("PUT", conversation_id, "/attributes", attributes)
        return Call(request, _written, wire.CONVERSATIONS)


def live_customer(conversation_id: str) -> Call[Participant | None]:
    """Ask for a live conversation's customer and what it has; None: it has no customer."""
    return Call(live_conversation(conversation_id), _customer, wire.CONVERSATIONS)


def _about(method: str, conversation_id: str, tail: str, attributes: Mapping[str, str]) -> Request:
    return Request(
        method=method,
        path=f"{_CONVERSATIONS}/{wire.conversation_id_in_path(conversation_id)}{tail}",
        template=f"{_CONVERSATIONS}/{{conversationId}}{tail}",
        json={"attributes": dict(attributes)},
    )


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

    async def flow_inputs(self, flow_id: str) -> Schema:
        """Return what the flow declares.

        Misconfigured when there is no such flow or none is published.
        """
        cached = await self._flows.get(
            flow_id, lambda: self._api.run(self._dialect.flow_inputs(flow_id))
        )
        if cached.value is None:
            raise Misconfigured(
                "genesys: no published flow of that id",
                setting="GENESYS_FLOW_ID",
                remedy="publish the flow, or set GENESYS_FLOW_ID to one that is",
                retry_after=flows.NO_FLOW_PAUSE_SECONDS,
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
        self, conversation_id: str, participant: Participant, attributes: Mapping[str, str]
    ) -> None:
        """Merge attributes into the participant's; safe to repeat. 403, 404, 409 are Rejected."""
        await self._api.run(
            self._dialect.set_attributes(conversation_id, participant.id, attributes)
        )

    async def set_conversation_attributes(
        self,
        conversation_id: str,
        attributes: Mapping[str, str],
        participant_id: str | None = None,
    ) -> None:
        """Merge attributes into those of the conversation; on the platform, of its customer.

        `participant_id`: the customer's, where it is known; without it, it is asked for.
        """
        customer = await self.customer(conversation_id, participant_id)
        await self._api.run(
            self._dialect.set_conversation_attributes(conversation_id, customer.id, attributes)
        )
