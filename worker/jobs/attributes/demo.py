"""Demo: conversations that begin, customers with fitting and misfitting records."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from worker.demo import (
    FLOW_ID,
    Effects,
    Environment,
    Fault,
    Planned,
    a_flow,
    an_id,
    envelope,
    leg,
    platform,
)

KIND = "conversation start"
TOPIC = "v2.detail.events.conversation.{id}.customer.start"
INPUTS = {"tier": "string", "ltv": "number", "vip": "boolean", "renewal": "date"}


@dataclass(frozen=True, slots=True)
class Beginning:
    """One conversation that began, just now: older ones would be let expire in an outage."""

    number: int
    conversation_id: str
    participant_id: str
    phone: str
    at: datetime
    platform: bool

    def record(self) -> dict[str, Any]:
        """Return what the CRM knows: `shoe_size` is no input of the flow, `renewal` no date."""
        return {
            "tier": "gold",
            "ltv": str(100 + self.number),
            "vip": "Yes" if self.number % 2 else 0,
            "renewal": "2026-12-24" if self.number % 3 else "next spring",
            "shoe_size": 43,
        }

    def attributes(self) -> dict[str, str]:
        """Return what must be on the wire: text, coerced, without what does not fit."""
        vip = "true" if self.number % 2 else "false"
        fitting = {"tier": "gold", "ltv": str(100 + self.number), "vip": vip}
        if self.number % 3:
            fitting["renewal"] = "2026-12-24"
        return fitting


class AttributesJob:
    """The traffic and the proof of attribute injection."""

    def __init__(self, count: int, random: Random) -> None:
        callers = enumerate(random.sample(range(10**7), count))
        self._began = [_beginning(number, caller, random) for number, caller in callers]

    def prepare(self, environment: Environment) -> None:
        """Make the flow, the CRM's records and the live conversations."""
        environment.genesys.flows[FLOW_ID] = a_flow(FLOW_ID, INPUTS)
        for one in self._began:
            environment.crm.by_phone[one.phone] = one.record()
            customer = {"id": one.participant_id, "purpose": "customer", "address": one.phone}
            environment.genesys.conversations[one.conversation_id] = {
                "id": one.conversation_id,
                "participants": [customer],
            }

    def traffic(self) -> list[Planned]:
        """Return each beginning once, and one in six twice."""
        once = [_event(one, copy=0) for one in self._began]
        return once + [_event(one, copy=1) for one in self._began[::6]]

    def late_duplicates(self) -> list[Planned]:
        """Return copies of what is done."""
        return [_event(one, copy=2) for one in self._began[::5]]

    def faults(self) -> list[Fault]:
        """Return an outage of the CRM itself."""
        return [Fault("the CRM is down", 4.0, _crm_down, _crm_up)]

    async def effects(self, environment: Environment) -> list[Effects]:
        """Compare the attributes of the participants, and what analytics received."""
        return [self._written(environment), self._announced(environment)]

    def _written(self, environment: Environment) -> Effects:
        wrong, found = [], 0
        for one in self._began:
            [customer] = environment.genesys.conversations[one.conversation_id]["participants"]
            found += "attributes" in customer
            if customer.get("attributes") != one.attributes():
                wrong.append(one.conversation_id)
        return Effects("participant attributes", len(self._began), found, wrong)

    def _announced(self, environment: Environment) -> Effects:
        bodies = {one.id: one.body for one in environment.sinks["analytics"].taken}
        ours = {one.conversation_id: one.attributes() for one in self._began}
        received = {body["conversationId"]: body["attributes"] for body in bodies.values()}
        wrong = [key for key in ours.keys() & received if received[key] != ours[key]]
        found = sum(body["conversationId"] in ours for body in bodies.values())
        return Effects("analytics webhook, ids", len(ours), found, wrong, "analytics_webhook")


def demo(events: int, random: Random) -> AttributesJob:
    """Return its share of the demo's traffic."""
    return AttributesJob(max(6, events // 8), random)


def _beginning(number: int, caller: int, random: Random) -> Beginning:
    return Beginning(
        number=number,
        conversation_id=an_id(random),
        participant_id=an_id(random),
        phone=f"+1666{caller:07d}",
        at=datetime.now(UTC).replace(microsecond=0),
        platform=random.random() < 0.7,
    )


def _event(one: Beginning, *, copy: int) -> Planned:
    event_id = str(UUID(int=(1 << 100) + (one.number << 8) + copy, version=4))
    if one.platform:
        body = leg(
            one.conversation_id,
            one.participant_id,
            one.at,
            mediaType="VOICE",
            ani=f"tel:{one.phone}",
        )
        return Planned(KIND, platform(TOPIC, body, at=one.at, event_id=event_id))
    detail = {"conversationId": one.conversation_id, "phoneNumber": one.phone}
    return Planned(KIND, envelope("conversation.start", detail, at=one.at, event_id=event_id))


def _crm_down(environment: Environment) -> None:
    environment.crm.status = 503


def _crm_up(environment: Environment) -> None:
    environment.crm.status = 200
