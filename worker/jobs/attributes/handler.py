"""A conversation's beginning gets what the CRM knows of its customer."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

import orjson
import structlog

from worker.api import (
    Attributes,
    Cached,
    Rejected,
    Result,
    Schema,
    Transient,
    Webhook,
    audit_logger,
    best_effort,
    e164,
    utc_text,
)
from worker.jobs.attributes.crm import Crm, Record
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.attributes.inspector import Rules, Value, inspect, sendable

ENRICHED = "conversation.attributes.enriched"

_NAMESPACE = UUID("5a2f3b0e-5f0c-5b57-9f0e-0c7d5b9b6a11")
"""Ours; a change of it would make sinks take repeats for news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which flow, which limits, how long."""

    flow_id: str
    max_age_seconds: float
    """Age of an event from which a failure is no longer retried."""

    rules: Rules

    def outlived(self, event: AttributesWanted, now: datetime) -> bool:
        """Return whether the conversation is too old for its attributes to matter."""
        return (now - event.origin.occurred_at).total_seconds() > self.max_age_seconds


def trace_id(event: AttributesWanted) -> str:
    """Return the id of this injection: the same for every copy of the event."""
    return str(uuid5(_NAMESPACE, event.origin.dedupe_key))


def enriched(event: AttributesWanted, attributes: Mapping[str, Value]) -> dict[str, Any]:
    """Return the body for the analytics webhook."""
    return {
        "eventType": ENRICHED,
        "conversationId": event.conversation_id,
        "attributes": dict(attributes),
        "traceId": trace_id(event),
        "timestamp": utc_text(event.origin.occurred_at),
    }


def payload_sha256(attributes: Mapping[str, Value]) -> str:
    """Return the SHA-256, in hex, of the attributes as JSON with sorted keys."""
    return sha256(orjson.dumps(dict(attributes), option=orjson.OPT_SORT_KEYS)).hexdigest()


log = structlog.get_logger(__name__)

ANALYTICS = "analytics_webhook"
GONE = {404, 410}


@dataclass(slots=True)
class AuditRecord:
    """What the audit entry of one run will say."""

    attributes: Mapping[str, Value] = field(default_factory=dict, repr=False)
    result: Result | None = None
    failure: str | None = None
    """Class of the error that kept the attributes from being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectAttributes:
    """AttributesWanted → CRM beside flow inputs → attributes of the customer → analytics."""

    crm: Crm
    genesys: Attributes
    policy: Policy
    analytics: Webhook | None
    """Notified of each injection, at best effort; None: it is not."""

    now: Callable[[], datetime]
    """Wall clock, aware: an event's age is measured by it."""

    async def __call__(self, event: AttributesWanted) -> Result:
        """Write the attributes; raises Transient while there is time to wait.

        Rejected when it is refused; but a conversation that is gone by then has expired.
        """
        with _audited(event) as audit:
            try:
                audit.result = await self._inject(event, audit)
            except (Transient, Rejected) as error:
                if not self._is_moot(event, error):
                    raise
                log.warning("attributes_expired", reason=error.reason)
                audit.result, audit.failure = Result.EXPIRED, type(error).__name__
            return audit.result

    def _is_moot(self, event: AttributesWanted, error: Transient | Rejected) -> bool:
        """Return whether the event is too old for the failure to matter: what is gone was to be."""
        may_pass = isinstance(error, Transient) or error.status in GONE
        return may_pass and self.policy.outlived(event, self.now())

    async def _inject(self, event: AttributesWanted, audit: AuditRecord) -> Result:
        customer, schema = await self._ask(event)
        audit.attributes = self._fitting(schema, customer.value or {})
        if not audit.attributes:
            return Result.SKIPPED
        is_new = await self._write(event, audit.attributes)
        await self._announce(event, audit.attributes)
        if not is_new:
            return Result.DUPLICATE
        return Result.DEGRADED if customer.stale else Result.OK

    async def _ask(self, event: AttributesWanted) -> tuple[Cached[Record], Schema]:
        phone = e164(event.phone_number)
        try:
            async with asyncio.TaskGroup() as both:
                customer = both.create_task(self.crm.find(event.conversation_id, phone))
                schema = both.create_task(self.genesys.flow_inputs(self.policy.flow_id))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return customer.result(), schema.result()

    def _fitting(self, schema: Schema, record: Record) -> Mapping[str, Value]:
        report = inspect(schema, record, self.policy.rules)
        if report.unfit:
            log.warning("attributes_left_out", names=report.unfit)
        log.debug("attributes_inspected", **report.masked())
        return sendable(report, self.policy.rules)

    async def _write(self, event: AttributesWanted, attributes: Mapping[str, Value]) -> bool:
        """Write, unless all is known to be there: each write makes Genesys send an event."""
        customer = await self.genesys.customer(event.conversation_id, event.participant_id)
        if attributes.items() <= (customer.attributes or {}).items():
            return False
        await self.genesys.set_attributes(event.conversation_id, customer, attributes)
        return True

    async def _announce(self, event: AttributesWanted, attributes: Mapping[str, Value]) -> None:
        if self.analytics is None:
            return
        trace = trace_id(event)
        async with best_effort(ANALYTICS):
            await self.analytics.post(
                enriched(event, attributes), delivery_id=trace, headers={"X-Trace-ID": trace}
            )


@contextmanager
def _audited(event: AttributesWanted) -> Iterator[AuditRecord]:
    """Write one audit entry for the block, however it ends."""
    audit = AuditRecord()
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        yield audit
    except BaseException as error:
        audit.failure = type(error).__name__
        raise
    finally:
        audit_logger().info(
            "attributes_injected",
            conversationId=event.conversation_id,
            traceId=trace_id(event),
            success=audit.failure is None,
            result=audit.result,
            latencyMs=round((clock() - began) * 1000, 1),
            payloadSha256=payload_sha256(audit.attributes),
            errorClass=audit.failure,
        )
