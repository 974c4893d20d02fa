"""What the worker would do with an event, found out without doing it.

The attribute report is made of files, or of what the real upstreams answer.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import orjson

from worker.app.command_line import for_job, open_context, open_genesys, settings_of
from worker.app.jobs import event_reader, known_jobs
from worker.clients.genesys.participants import Attributes, Schema, of_definitions, of_json_schema
from worker.errors import ConfigurationError, Permanent, WorkerError
from worker.events.origin import Event, e164, utc_text
from worker.events.reading import ForJob, UnknownType
from worker.jobs.attributes import open_crm
from worker.jobs.attributes.crm import Crm, Record
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.attributes.inspector import Report, Rules, inspect, rules_of, sendable
from worker.jobs.attributes.settings import AttributesSettings
from worker.settings import Events, Genesys, Settings


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
    def passed(self) -> bool:
        """Whether it would be handled, and without leaving anything out."""
        return self.problem is None and (self.report is None or not self.report.unfit)

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        report = self.report.as_json() if self.report else None
        return asdict(replace(self, report=None)) | {"report": report, "passed": self.passed}


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


async def inspected(
    bodies: Sequence[str], *, files: tuple[Path, Path] | None, live: bool
) -> list[Finding]:
    """Return what is found of each message. `files`: the CRM's answer, the schema."""
    settings = settings_of(AttributesSettings, Events, Genesys)
    async with _source(files, live=live) as source:
        return [one for body in bodies for one in await findings(body, settings, source)]


@asynccontextmanager
async def _source(files: tuple[Path, Path] | None, *, live: bool) -> AsyncIterator[Source | None]:
    if files is not None:
        yield Files(_object_in(files[0]), read_schema(files[1]))
        return
    if not live:
        yield None
        return
    async with open_context(AttributesSettings, Genesys) as context:
        settings = context.settings.of(AttributesSettings)
        flow_id = settings.genesys_flow_id
        if flow_id is None:
            raise ConfigurationError(["GENESYS_FLOW_ID: is not set"])
        if settings.crm_api_endpoint is None:
            raise ConfigurationError(["CRM_API_ENDPOINT: is not set"])
        genesys = await open_genesys(context)
        crm = await open_crm(for_job(context, "attributes"), settings)
        yield Upstreams(crm, genesys.attributes, flow_id)


def read_schema(path: Path) -> Schema:
    """Read a flow of either dialect, or a JSON Schema alone; ConfigurationError for neither."""
    flow = _object_in(path)
    if "publishedVersion" not in flow and "inputDefinitions" in flow:
        return of_definitions(flow["inputDefinitions"])
    version = flow.get("publishedVersion")
    document = version.get("inputSchema") if isinstance(version, dict) else flow
    if not isinstance(document, dict) or "properties" not in document:
        raise ConfigurationError([f"{path}: is no flow and no JSON Schema"])
    return of_json_schema(document)


def _object_in(path: Path) -> Mapping[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from None
    except orjson.JSONDecodeError:
        raise ConfigurationError([f"{path}: is not JSON"]) from None
    if not isinstance(value, dict):
        raise ConfigurationError([f"{path}: is not a JSON object"])
    return value


async def findings(body: str, settings: Settings, source: Source | None) -> list[Finding]:
    """Read a message as the daemon does; without a `source` there is no attribute report."""
    try:
        events = event_reader(settings)(body)
    except Permanent as error:
        return [Finding(event="Unreadable", problem=error.reason)]
    if isinstance(events, UnknownType):
        facts = {"detailType": events.detail_type}
        problem = f"no job wants it; EVENTS_UNROUTED={settings.events.unrouted}"
        return [Finding(event="Unrouted", facts=facts, problem=problem)]
    rules = rules_of(settings.of(AttributesSettings))
    return [await _finding(one, rules, source) for one in events]


async def _finding(one: ForJob, rules: Rules, source: Source | None) -> Finding:
    event, effects = one.event, known_jobs()[one.job].effects
    found = Finding(
        event=type(event).__name__,
        handlers=(one.job,),
        facts=_facts(event),
        effects=effects(event) if effects else {},
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
