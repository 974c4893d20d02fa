"""A voice score becomes a record that knows the customer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain

import structlog
from msgspec.structs import replace

from worker.api import (
    Cached,
    Caller,
    NotYet,
    Result,
    Transient,
    e164,
    number_as_written,
    seconds_to_next_poll,
)
from worker.jobs.voice.customers import UNKNOWN, Customer, Customers
from worker.jobs.voice.events import VoiceScored
from worker.jobs.voice.records import EnrichmentStatus, VoiceRecord, VoiceRecords

log = structlog.get_logger()

AS_WANTED = {EnrichmentStatus.COMPLETE, EnrichmentStatus.UNIDENTIFIED}
CALLS = {"calls", "callbacks"}


def may_be_call(caller: Caller) -> bool:
    """Return whether a conversation has a call in it; one that does not say may be one."""
    return not caller.media or not CALLS.isdisjoint(caller.media)


def number_of(*addresses: str | None) -> str | None:
    """Return the first E.164 number among the addresses, else the first number as it came."""
    found = chain(map(e164, addresses), map(number_as_written, addresses))
    return next(filter(None, found), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrichVoice:
    """VoiceScored → phone number → customer → one item in the table."""

    caller: Callable[[str], Awaitable[Caller]]
    """Customer of a live conversation, by conversation id."""

    customers: Customers
    records: VoiceRecords
    now: Callable[[], datetime]
    """Wall clock, aware: an event's age is measured by it."""

    score: Callable[[str], Awaitable[Decimal | None]] | None = None
    """Score of a conversation, by its id; None of one that is not analysed, yet or ever. Asked for
    calls that ended, where events bring no scores."""

    settle_seconds: float = 0
    """Age of an event from which such a call is taken for one that never gets a score."""

    degrade_after_seconds: float | None = None
    """Age from which an event no longer waits for its customer; None waits for ever."""

    async def __call__(self, event: VoiceScored) -> Result:
        """Record the score; raises Transient while its customer cannot be asked for.

        NotYet while a call that ended may still be analysed.
        """
        if not event.is_scored:
            overall = await self._asked_score(event)
            if overall is None:
                return Result.SKIPPED
            event = replace(event, overall=overall)
        record = await self._enriched(event)
        if record is None:
            return Result.SKIPPED
        if not await self.records.add(record):
            return Result.DUPLICATE
        return Result.OK if record.status in AS_WANTED else Result.DEGRADED

    async def _asked_score(self, event: VoiceScored) -> Decimal | None:
        score = await self.score(event.conversation_id) if self.score else None
        if score is None:
            wait = seconds_to_next_poll(self._age(event), settle_seconds=self.settle_seconds)
            if wait is not None:
                raise NotYet("the call is not analysed yet", retry_after=wait)
        return score

    async def _enriched(self, event: VoiceScored) -> VoiceRecord | None:
        """Return what is to be kept; None of a message or an e-mail."""
        caller, is_call = Caller(), event.is_call
        try:
            if not is_call or e164(event.phone_number) is None:
                caller = await self.caller(event.conversation_id)
                is_call = is_call or may_be_call(caller)
            if not is_call:
                return None
            number = number_of(event.phone_number, caller.address)
            found = await self._customer(e164(number), event.conversation_id)
        except Transient as error:
            number = number_of(event.phone_number, caller.address)
            return self._unasked(event, number, error)
        return _known(event, number, found)

    def _unasked(self, event: VoiceScored, number: str | None, error: Transient) -> VoiceRecord:
        """Return the record with the customer as last seen, or with none; else raise the error.

        While Genesys is down no one knows whether this was a call. Who sets the age from which
        records are degraded wants them all the same, and `degraded` says that one was not checked.
        """
        remembered = self.customers.of_conversation(event.conversation_id)
        if remembered is not None:
            return _known(event, number, remembered)
        if not self._is_too_old_to_wait(event):
            raise error
        log.warning("voice_enrichment_degraded", reason=error.reason)
        status = EnrichmentStatus.DEGRADED
        return VoiceRecord(event=event, phone_number=number, customer=None, status=status)

    async def _customer(self, phone: str | None, conversation_id: str) -> Cached[Customer]:
        if phone is None:
            # Without a number the customer is unknown, as with one the data action does not know.
            return Cached(UNKNOWN, stale=False)
        return await self.customers.by_phone(phone, conversation_id)

    def _is_too_old_to_wait(self, event: VoiceScored) -> bool:
        if self.degrade_after_seconds is None:
            return False
        return self._age(event) > self.degrade_after_seconds

    def _age(self, event: VoiceScored) -> float:
        return (self.now() - event.origin.occurred_at).total_seconds()


def _known(event: VoiceScored, number: str | None, found: Cached[Customer]) -> VoiceRecord:
    status = EnrichmentStatus.COMPLETE
    if found.stale:
        status = EnrichmentStatus.STALE
    elif e164(number) is None:
        status = EnrichmentStatus.UNIDENTIFIED
    customer = found.value or UNKNOWN
    return VoiceRecord(event=event, phone_number=number, customer=customer, status=status)
