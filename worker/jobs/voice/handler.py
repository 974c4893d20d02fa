"""A voice score becomes a record that knows the customer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from worker.api import Cached, Result, Transient, e164
from worker.jobs.voice.customers import UNKNOWN, Customer, Customers
from worker.jobs.voice.events import VoiceScored
from worker.jobs.voice.records import EnrichmentStatus, VoiceRecord, VoiceRecords

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrichVoice:
    """VoiceScored → phone number → customer → one item in the table."""

    customer_address: Callable[[str], Awaitable[str | None]]
    """Address of a live conversation's customer, by conversation id."""

    customers: Customers
    records: VoiceRecords
    now: Callable[[], datetime]
    """Wall clock, aware: an event's age is measured by it."""

    degrade_after_seconds: float | None = None
    """Age from which an event no longer waits for its customer; None waits for ever."""

    async def __call__(self, event: VoiceScored) -> Result:
        """Record the score; raises Transient while its customer cannot be asked for."""
        record = await self._enriched(event)
        if not await self.records.add(record):
            return Result.DUPLICATE
        return Result.OK if record.status is EnrichmentStatus.COMPLETE else Result.DEGRADED

    async def _enriched(self, event: VoiceScored) -> VoiceRecord:
        phone = e164(event.phone_number)
        try:
            phone = phone or e164(await self.customer_address(event.conversation_id))
            found = await self._customer(phone, event.conversation_id)
        except Transient as error:
            remembered = self.customers.of_conversation(event.conversation_id)
            if remembered is None and not self._is_too_old_to_wait(event):
                raise
            if remembered is None:
                log.warning("voice_enrichment_degraded", reason=error.reason)
                status = EnrichmentStatus.DEGRADED
                return VoiceRecord(event=event, phone_number=phone, customer=None, status=status)
            found = remembered
        status = EnrichmentStatus.STALE if found.stale else EnrichmentStatus.COMPLETE
        customer = found.value or UNKNOWN
        return VoiceRecord(event=event, phone_number=phone, customer=customer, status=status)

    async def _customer(self, phone: str | None, conversation_id: str) -> Cached[Customer]:
        if phone is None:
            # Without a number the customer is unknown, as with one the data action does not know.
            return Cached(UNKNOWN, stale=False)
        return await self.customers.by_phone(phone, conversation_id)

    def _is_too_old_to_wait(self, event: VoiceScored) -> bool:
        if self.degrade_after_seconds is None:
            return False
        age = self.now() - event.origin.occurred_at
        return age > timedelta(seconds=self.degrade_after_seconds)
