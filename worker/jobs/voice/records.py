"""The records in DynamoDB: one item a conversation and time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import DecimalException
from enum import StrEnum
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from worker.api import AwsService, Permanent, Rejected, utc_text
from worker.jobs.voice.customers import Customer
from worker.jobs.voice.events import SpeakerScore, VoiceScored

Item = Mapping[str, Any]


class EnrichmentStatus(StrEnum):
    """How much of the customer a record holds."""

    COMPLETE = "complete"
    STALE = "stale"
    """The customer as last seen: the data action was down."""

    DEGRADED = "degraded"
    """Written without the customer: the data action was down for too long."""

    UNIDENTIFIED = "unidentified"
    """No customer was asked for: no number, or one that is not E.164 and is kept as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceRecord:
    """What is kept of a voice score."""

    event: VoiceScored
    phone_number: str | None
    customer: Customer | None
    """None leaves `crmTier` and `crmLtv` out."""

    status: EnrichmentStatus


class VoiceRecords:
    """The table: `conversationId` (S, partition key) and `eventTimestamp` (S, sort key)."""

    def __init__(
        self,
        dynamodb: AwsService,
        table: str,
        retention_seconds: float | None,
        now: Callable[[], datetime],
    ) -> None:
        """`retention_seconds`: sets the TTL. `now`: wall clock, aware."""
        self._dynamodb = dynamodb
        self._table = table
        self._retention_seconds = retention_seconds
        self._now = now

    async def add(self, record: VoiceRecord) -> bool:
        """Write the record; False when this or a newer score of the same feed is there already.

        A feed is a `detail-type`: two feeds of one conversation do not hide each other. But a score
        that was backfilled stands for all that came before it was asked for, of whatever feed, and
        is not written where the conversation has any: so of a lost event and the one sent in its
        place the later is a duplicate, whichever that is. The look
        and the write are two calls, as a condition sees one item and not its neighbours. Two
        scores written in the same instant thus may both stay, each in its own item; no item is
        ever overwritten. Scores of two feeds in the same millisecond share a key: the first wins.
        A write whose reply was lost is found again by its retry and answers False.

        Raises Permanent for a record without keys or with a number that DynamoDB cannot hold.
        """
        item = self._item(record)
        if await self._is_superseded(item):
            return False
        return await self._put(item)

    async def _is_superseded(self, item: Item) -> bool:
        start: Item | None = None
        while True:
            page = await self._page(item, start)
            if any(_supersedes(found, item) for found in page["Items"]):
                return True
            if (start := page.get("LastEvaluatedKey")) is None:
                return False

    async def _page(self, item: Item, start: Item | None) -> Mapping[str, Any]:
        """Return some of the conversation's records: it has one for each of its scores."""
        page: Mapping[str, Any] = await self._dynamodb.call(
            "query",
            TableName=self._table,
            KeyConditionExpression="conversationId = :c",
            ExpressionAttributeValues={":c": item["conversationId"]},
            ProjectionExpression="eventTimestamp, detailType, backfilledAt",
            ConsistentRead=True,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        return page

    async def _put(self, item: Item) -> bool:
        try:
            await self._dynamodb.call(
                "put_item",
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(conversationId)",
            )
        except Rejected as refusal:
            if refusal.code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _item(self, record: VoiceRecord) -> Item:
        event, customer, now = record.event, record.customer, self._now()
        if not event.conversation_id:
            raise Permanent("conversationId: empty")
        fields = {
            "conversationId": event.conversation_id,
            "eventTimestamp": utc_text(event.origin.occurred_at),
            "detailType": event.origin.detail_type,
            "phoneNumber": record.phone_number,
            "sentimentOverall": event.overall,
            "sentimentSpeakers": [_speaker(one) for one in event.speakers] or None,
            "crmTier": customer and customer.tier,
            "crmLtv": customer and customer.ltv,
            "enrichmentStatus": record.status.value,
            "recordedAt": utc_text(now),
            "backfilledAt": event.backfilled_at and utc_text(event.backfilled_at),
            "expiresAt": self._expires_at(now),
        }
        return {name: _typed(name, value) for name, value in fields.items() if value is not None}

    def _expires_at(self, now: datetime) -> int | None:
        if self._retention_seconds is None:
            return None
        return int(now.timestamp() + self._retention_seconds)


def _supersedes(found: Item, item: Item) -> bool:
    """Return whether a record of the conversation leaves nothing for a new one to say."""
    if "backfilledAt" in item:
        return True
    # Times are texts of one form: their order is that of time.
    at: str = item["eventTimestamp"]["S"]
    if found.get("detailType") == item["detailType"] and found["eventTimestamp"]["S"] >= at:
        return True
    return str(found.get("backfilledAt", {"S": ""})["S"]) >= at


def _speaker(speaker: SpeakerScore) -> Mapping[str, Any]:
    return {"id": speaker.id, "score": speaker.score}


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, str):  # most of them are, and the serializer asks for all else first
        return {"S": value}
    try:
        return TypeSerializer().serialize(value)
    except (DecimalException, TypeError):
        pass
    # Raised out here: the serializer's error quotes the value.
    raise Permanent(f"{name}: more than a DynamoDB number can hold")
