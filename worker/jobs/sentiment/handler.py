"""A chat's sentiment is forwarded to those who want it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from worker.api import (
    Bus,
    ChatSentiment,
    Context,
    NotYet,
    OncePerKey,
    Permanent,
    Rejected,
    Result,
    Sentiment,
    Trace,
    TraceEntry,
    Transient,
    Webhook,
    audit_logger,
    best_effort,
    instant,
    metrics,
    seconds_to_next_poll,
)
from worker.jobs.sentiment.events import ChatScored
from worker.jobs.sentiment.rules import (
    FORWARDING_ID,
    STATUS,
    UPDATED_AT,
    SentimentRules,
    alert_note,
    crm_note,
    derived_id,
    forwarding_id,
    payload_of,
    status_attributes,
)

SOURCE = "genesys.sentiment.forwarder"
FORWARDED = "ChatSentimentAnalysis"
ESCALATED = "ChatSentimentEscalation"

MARK = "sentiment_mark"
CONFLICT = 409
GONE = {404, 410}
WRITES = 3
"""Times the conversation's attributes are written that another client is writing too."""


class Mark(StrEnum):
    """When a conversation is given its forwarding's id."""

    FIRST = "first"
    """Before the sinks, which get nothing if it is refused: as text r3 has it."""

    LAST = "last"
    """After them, at best effort: attributes of a conversation that ended are worth little."""

    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Where the sentiment is sent, and what was sent already."""

    set_attributes: Callable[[str, Mapping[str, str], str | None], Awaitable[None]]
    """Merges attributes into the conversation's; the last argument is the customer's participant,
    None where it has to be asked for."""

    bus: Bus
    crm: Webhook | None
    alert: Webhook | None
    once_per_key: OncePerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardChatSentiment:
    """ChatScored → sentiment → gate → bus, CRM and alert → conversation status."""

    sentiment: ChatSentiment
    rules: SentimentRules
    sinks: Sinks
    now: Callable[[], datetime]
    """Wall clock, aware: an event's age is measured by it."""

    settle_seconds: float
    """Age of the event from which a chat without sentiment is taken for one that never gets any."""

    mark: Mark = Mark.LAST

    async def __call__(self, event: ChatScored) -> Result:
        """Forward the sentiment; raises NotYet while the analysis may still come."""
        began = asyncio.get_running_loop().time()
        sentiment = await self.sentiment.of_chat(
            event.conversation_id, event.origin.occurred_at, event.session_id
        )
        if sentiment is None:
            self._wait(event)
            return _skipped(event, "skipped_never_analysed", None, began)
        if not self.rules.admit(sentiment):
            return _skipped(event, "skipped_low_confidence", sentiment, began)
        payload = payload_of(event, sentiment, self.rules)
        severe = self.rules.escalate(sentiment)
        if self.mark is Mark.FIRST:
            await self._mark(event)
        await self._send(event, payload, severe=severe)
        if self.mark is Mark.LAST:
            async with best_effort(MARK):
                await self._mark(event)
        _audit(
            event,
            "forwarded",
            sentiment,
            began,
            forwardingId=forwarding_id(event),
            alertTriggered=severe,
            complianceStatus="validated",
        )
        return Result.OK

    def _wait(self, event: ChatScored) -> None:
        age = (self.now() - event.origin.occurred_at).total_seconds()
        wait = seconds_to_next_poll(age, settle_seconds=self.settle_seconds)
        if wait is not None:
            raise NotYet("the chat is not analysed yet", retry_after=wait)

    async def _mark(self, event: ChatScored) -> None:
        attributes = status_attributes(event)
        for _ in range(WRITES):
            try:
                await self.sinks.set_attributes(
                    event.conversation_id, attributes, event.participant_id
                )
            except Rejected as refusal:
                if refusal.status != CONFLICT:
                    raise
            else:
                return
        raise Transient("the conversation's attributes are being changed by others")

    async def _send(self, event: ChatScored, payload: Mapping[str, Any], *, severe: bool) -> None:
        """Send to all sinks side by side: a CRM that is down must hold up no escalation."""
        effects = self._effects(event, payload, severe=severe)
        results = await asyncio.gather(
            *(
                self.sinks.once_per_key.once((event.origin.dedupe_key, name), effect)
                for name, effect in effects.items()
            ),
            return_exceptions=True,
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        # Permanent comes last: a dead letter would lose what may still be sent to the others.
        for failure in sorted(failures, key=lambda error: isinstance(error, Permanent)):
            raise failure

    def _effects(
        self, event: ChatScored, payload: Mapping[str, Any], *, severe: bool
    ) -> dict[str, Callable[[], Awaitable[object]]]:
        put = partial(self.sinks.bus.put, source=SOURCE, time=event.origin.occurred_at)
        effects: dict[str, Callable[[], Awaitable[object]]] = {
            "forwarded": partial(put, FORWARDED, payload)
        }
        if self.sinks.crm:
            effects["crm"] = partial(
                self.sinks.crm.post, crm_note(payload), delivery_id=forwarding_id(event)
            )
        if severe:
            effects["escalated"] = partial(put, ESCALATED, payload)
            effects["counted"] = _count_escalation
        if severe and self.sinks.alert:
            effects["alert"] = partial(
                self.sinks.alert.post,
                alert_note(payload),
                delivery_id=derived_id(event, "alert"),
            )
        return effects


async def _count_escalation() -> None:
    metrics.sentiment_escalations.inc()


def _skipped(event: ChatScored, outcome: str, sentiment: Sentiment | None, began: float) -> Result:
    _audit(event, outcome, sentiment, began, alertTriggered=False)
    return Result.SKIPPED


def _audit(
    event: ChatScored, outcome: str, sentiment: Sentiment | None, began: float, **more: object
) -> None:
    """Write the audit entry; its own time stands in the line's `timestamp`."""
    confidence = sentiment.confidence if sentiment else None
    elapsed = asyncio.get_running_loop().time() - began
    audit_logger().info(
        "chat_sentiment_handled",
        auditId=derived_id(event, "audit"),
        conversationId=event.conversation_id,
        outcome=outcome,
        latencyMs=round(elapsed * 1000, 1),
        accuracyRate=None if confidence is None else float(confidence),
        **more,
    )


async def trace(context: Context, _: object, conversation_id: str) -> list[Trace]:
    """Read the mark that a live conversation was given; bus and webhooks cannot be asked."""
    where = "Genesys Cloud, live conversation"
    try:
        customer = await (await context.genesys()).attributes.customer(conversation_id, None)
    except (NotYet, Rejected) as error:
        if isinstance(error, Rejected) and error.status not in GONE:
            raise
        return [Trace(where=where, note="it is no longer there, or has no customer")]
    if customer.attributes is None:
        return [Trace(where=where, note="this dialect has no read of attributes")]
    mark = customer.attributes
    if FORWARDING_ID not in mark:
        return [Trace(where=where)]
    entry = TraceEntry(
        time=_when(mark.get(UPDATED_AT)),
        what="forwarding",
        id=str(mark[FORWARDING_ID]),
        state=str(mark.get(STATUS)),
    )
    return [Trace(where=where, entries=[entry])]


def _when(written: object) -> datetime | None:
    """Return the time of the event; None for what is none: others may write the attribute, too."""
    try:
        return instant(written)
    except ValueError:
        return None
