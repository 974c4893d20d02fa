"""The inputs of a flow, and the attributes of live conversations."""

from collections.abc import Mapping

from worker.clients.genesys.api import Api
from worker.clients.genesys.attribute_calls import AttributeDialect, Participant, live_customer
from worker.clients.genesys.flow_schema import Schema
from worker.errors import Misconfigured, NotYet
from worker.resilience.cache import Cache, CachePolicy

FLOW_CACHE = CachePolicy(
    max_entries=16, soft_ttl_seconds=300, hard_ttl_seconds=86_400, negative_ttl_seconds=60
)
"""A publish is seen within five minutes; what a flow takes rarely changes within a day."""

NO_FLOW_PAUSE_SECONDS = 60.0
"""Pause after a missing flow: a person publishes it or mends GENESYS_FLOW_ID."""


class Attributes:
    """The verbs. Each raises the error tree of `worker.errors`, and nothing else."""

    def __init__(self, api: Api, dialect: AttributeDialect, flows: Cache[str, Schema]) -> None:
        self._api = api
        self._dialect = dialect
        self._flows = flows

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
        self, conversation_id: str, participant: Participant, attributes: Mapping[str, str]
    ) -> None:
        """Merge attributes into the participant's; safe to repeat. 403, 404, 409 are Rejected."""
        await self._api.run(
            self._dialect.set_attributes(conversation_id, participant.id, attributes)
        )

    async def set_conversation_attributes(
        self, conversation_id: str, attributes: Mapping[str, str]
    ) -> None:
        """Merge attributes into those of the conversation; on the platform, of its customer."""
        customer = await self.customer(conversation_id, None)
        await self._api.run(
            self._dialect.set_conversation_attributes(conversation_id, customer.id, attributes)
        )
