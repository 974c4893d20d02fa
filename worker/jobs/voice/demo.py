"""Demo: scores in both forms, customers known and unknown, an outage of the CRM."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from worker.demo import TABLE, Effects, Environment, Fault, Planned, an_id, envelope, iso, platform

KIND = "voice sentiment"
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TIERS = ("gold", "silver", "bronze")
STA_TYPE = "v2.speechandtextanalytics.conversation.{id}.sentiment"


@dataclass(frozen=True, slots=True)
class Score:
    """One conversation's score, and who called."""

    number: int
    conversation_id: str
    phone: str
    overall: Decimal
    tier: str | None
    """None: the data action does not know the caller."""

    platform: bool

    def at(self) -> datetime:
        """Return the event's own time."""
        return START + timedelta(seconds=self.number)


class VoiceJob:
    """The traffic and the proof of voice enrichment."""

    def __init__(self, count: int, random: Random) -> None:
        self._random = random
        # Drawn without repetition: two callers of one number would be one customer.
        callers = enumerate(random.sample(range(10**7), count))
        self._scores = [_score(number, caller, random) for number, caller in callers]

    def prepare(self, environment: Environment) -> None:
        """Make customers and live conversations."""
        for score in self._scores:
            if score.tier:
                environment.genesys.customers[score.phone] = {
                    "accountId": f"A-{score.number}",
                    "tier": score.tier,
                    "ltv": 1000.5 + score.number % 7,
                }
            if score.platform:
                environment.genesys.conversations[score.conversation_id] = _live(score)

    def traffic(self) -> list[Planned]:
        """Return each score once, and one in eight twice, under another envelope id."""
        once = [_event(score, copy=0) for score in self._scores]
        return once + [_event(score, copy=1) for score in self._scores[::8]]

    def late_duplicates(self) -> list[Planned]:
        """Return copies of what is done, and older scores of the same conversations."""
        return [_event(score, copy=2) for score in self._scores[::10]] + [
            _event(score, copy=3, older=timedelta(minutes=5)) for score in self._scores[::12]
        ]

    def faults(self) -> list[Fault]:
        """Return an outage behind the data action, and a 429."""
        return [
            _fault("429 from Genesys", 1.0, 429, times=2, retry_after=1),
            _fault("CRM behind the data action is down", 4.0, 503),
        ]

    async def effects(self, environment: Environment) -> list[Effects]:
        """Compare the table with the scores, item by item."""
        items = [item async for item in _scan(environment)]
        expected = {score.conversation_id: _item(score) for score in self._scores}
        seen: set[str] = set()
        wrong = []
        for item in items:
            key = item["conversationId"]["S"]
            kept = {name: value for name, value in item.items() if name != "recordedAt"}
            if key in seen or kept != expected.get(key):
                wrong.append(key)
            seen.add(key)
        wrong += sorted(set(expected) - seen)
        return [Effects("DynamoDB records", len(expected), len(items), wrong)]


def demo(events: int, random: Random) -> VoiceJob:
    """Return its share of the demo's traffic."""
    return VoiceJob(max(10, events // 3), random)


def _score(number: int, caller: int, random: Random) -> Score:
    return Score(
        number=number,
        conversation_id=an_id(random),
        phone=f"+1555{caller:07d}",
        overall=Decimal(random.randrange(-100, 101)) / 100,
        tier=random.choice(TIERS) if random.random() < 0.8 else None,
        platform=random.random() < 0.6,
    )


def _event(score: Score, *, copy: int, older: timedelta = timedelta()) -> Planned:
    at, event_id = score.at() - older, str(UUID(int=(score.number << 8) + copy, version=4))
    if not score.platform:
        detail = _reference_detail(score, iso(at))
        return Planned(KIND, envelope("voice.analytics", detail, at=at, event_id=event_id))
    body = {
        "conversationId": score.conversation_id,
        "sentimentOverallScore": float(score.overall),
        "sentimentTrendScore": 0.1,
        "queueIds": [],
        "divisionIds": [],
        "flowIds": [],
    }
    return Planned(KIND, platform(STA_TYPE, body, at=at, event_id=event_id))


def _reference_detail(score: Score, at: str) -> Mapping[str, Any]:
    return {
        "conversationId": score.conversation_id,
        "timestamp": at,
        "phoneNumber": score.phone,
        "sentiment": {
            "overall": float(score.overall),
            "speaker": [{"id": "customer", "score": float(score.overall)}],
        },
    }


def _live(score: Score) -> dict[str, Any]:
    customer = {
        "id": "p1",
        "purpose": "customer",
        "address": f"tel:{score.phone}",
        "calls": [{"id": "c1", "state": "terminated"}],
    }
    return {
        "id": score.conversation_id,
        "participants": [customer, {"id": "p2", "purpose": "agent"}],
    }


def _fault(name: str, seconds: float, status: int, **how: int) -> Fault:
    def begin(environment: Environment) -> None:
        environment.genesys.fail_with("data_action", status, **how)

    return Fault(name, seconds, begin, lambda environment: environment.genesys.heal("data_action"))


def _item(score: Score) -> dict[str, Any]:
    # A float's digits are what the event carried; DynamoDB itself would drop a closing zero.
    overall = {"N": str(float(score.overall))}
    item: dict[str, Any] = {
        "conversationId": {"S": score.conversation_id},
        "eventTimestamp": {"S": iso(score.at())},
        "detailType": {"S": STA_TYPE if score.platform else "voice.analytics"},
        "phoneNumber": {"S": score.phone},
        "sentimentOverall": overall,
        "crmTier": {"S": score.tier or "unknown"},
        "enrichmentStatus": {"S": "complete"},
    }
    if score.tier:
        item["crmLtv"] = {"N": str(1000.5 + score.number % 7)}
    if not score.platform:
        speaker = {"id": {"S": "customer"}, "score": overall}
        item["sentimentSpeakers"] = {"L": [{"M": speaker}]}
    return item


async def _scan(environment: Environment) -> Any:
    async with environment.aws("dynamodb") as dynamodb:
        async for page in dynamodb.get_paginator("scan").paginate(TableName=TABLE):
            for item in page["Items"]:
                yield item
