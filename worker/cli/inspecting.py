"""What the worker would do with an event, found out without doing it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from worker.clients.genesys.flows import Schema
from worker.clients.genesys.participants import Attributes
from worker.errors import ConfigurationError, Permanent, WorkerError
from worker.events.normal_forms import e164, utc_text
from worker.events.origin import Event
from worker.events.reading import UnknownType, open_events
from worker.jobs.attributes.crm import Crm, Record
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.attributes.injection import trace_id
from worker.jobs.attributes.inspector import Report, Rules, inspect, sendable
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.files import folder
from worker.jobs.sentiment.events import ChatScored
from worker.jobs.sentiment.verdict import forwarding_id
from worker.jobs.voice.events import VoiceScored
from worker.jobs.workflow.events import ConversationEnded
from worker.jobs.workflow.execution import DetailsStatus, execution_of
from worker.settings import Events

HANDLERS: Mapping[type, tuple[str, ...]] = {
    VoiceScored: ("voice",),
    ConversationEnded: ("workflow",),
    AttributesWanted: ("attributes",),
    ChatScored: ("sentiment",),
    ReportDue: ("reports",),
}
"""Who wants which event; the names are those of `settings.HANDLER_NEEDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is known of one event before anything is done with it."""

    event: str
    """Name of its class; `UnknownType` and `Unreadable` for what is no event of ours."""

    handlers: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Where it came from: ids and times."""

    effects: Mapping[str, str] = field(default_factory=dict)
    """Ids its effects will have, however often it comes."""

    report: Report | None = field(default=None, repr=False)
    """Attributes only, where customer and flow are known."""

    problem: str | None = None
    """Why it would not be handled."""

    @property
    def is_fine(self) -> bool:
        """Whether it would be handled, and without leaving anything out."""
        return self.problem is None and (self.report is None or not self.report.unfit)

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        report = self.report.as_json() if self.report else None
        return asdict(replace(self, report=None)) | {"report": report, "fine": self.is_fine}


class Source(Protocol):
    """Where the attribute report's two halves come from."""

    async def ask(self, event: AttributesWanted) -> tuple[Record, Schema]:
        """Return what is known of the customer (nothing: empty), and what the flow takes."""


@dataclass(frozen=True, slots=True)
class Files:
    """Both read beforehand."""

    record: Record
    schema: Schema

    async def ask(self, event: AttributesWanted) -> tuple[Record, Schema]:  # noqa: ARG002  one of two
        """Return them, whatever the event."""
        return self.record, self.schema


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The real ones; they are asked as the handler does, and nothing is written."""

    crm: Crm
    genesys: Attributes
    flow_id: str

    async def ask(self, event: AttributesWanted) -> tuple[Record, Schema]:
        """Ask both; raises what they raise."""
        found = await self.crm.find(event.conversation_id, e164(event.phone_number))
        return found.value or {}, await self.genesys.flow_inputs(self.flow_id)


async def findings(body: str, types: Events, rules: Rules, source: Source | None) -> list[Finding]:
    """Read a message as the worker does; without a `source` there is no attribute report."""
    try:
        events = open_events(body, types)
    except Permanent as error:
        return [Finding(event="Unreadable", problem=error.reason)]
    if isinstance(events, UnknownType):
        facts = {"detailType": events.detail_type}
        problem = f"no handler wants it; EVENTS_UNROUTED={types.unrouted}"
        return [Finding(event="Unrouted", facts=facts, problem=problem)]
    return [await _finding(event, rules, source) for event in events]


async def _finding(event: Event, rules: Rules, source: Source | None) -> Finding:
    found = Finding(
        event=type(event).__name__,
        handlers=HANDLERS[type(event)],
        facts=_facts(event),
        effects=_effects(event),
    )
    if source is None or not isinstance(event, AttributesWanted):
        return found
    try:
        record, schema = await source.ask(event)
        report = inspect(schema, record, rules)
        found = replace(found, report=report)
        sendable(report, rules)
    except ConfigurationError:
        raise
    except WorkerError as error:
        return replace(found, problem=str(error))
    return found


def _facts(event: Event) -> dict[str, str]:
    origin = event.origin
    facts = {
        "conversationId": getattr(event, "conversation_id", None),
        "detailType": origin.detail_type,
        "eventId": origin.event_id,
        "occurredAt": utc_text(origin.occurred_at),
        "dedupeKey": origin.dedupe_key,
        "correlationId": origin.correlation_id,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _effects(event: Event) -> dict[str, str]:
    match event:
        case VoiceScored():
            return {"item": f"{event.conversation_id} {utc_text(event.origin.occurred_at)}"}
        case ConversationEnded():
            execution = execution_of(event, None, status=DetailsStatus.PARTIAL, steps=())
            return {"executionName": execution.name}
        case AttributesWanted():
            return {"traceId": trace_id(event)}
        case ChatScored():
            return {"forwardingId": forwarding_id(event)}
        case ReportDue():
            return {"folder": folder(event.name, event.start)}
