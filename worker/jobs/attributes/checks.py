"""What `worker check`, `inspect --live` and `trace` ask for attributes: the CRM, the flow.

They are asked as the handler does, and nothing is written.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from worker.api import (
    Attributes,
    Call,
    ConfigurationError,
    Context,
    Finding,
    Inspection,
    NotYet,
    Permanent,
    Rejected,
    Reply,
    Schema,
    State,
    Trace,
    TraceEntry,
    Unauthorized,
    WorkerError,
    e164,
    fail,
    ok,
    schema_of,
)
from worker.jobs.attributes import AttributesSettings, open_crm, rules_of
from worker.jobs.attributes.crm import Crm, Record
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.attributes.inspector import MASK, Report, Rules, inspect, sendable

CRM, FLOW = "CRM", "Genesys flow"
"""Names of the findings."""

GONE = NO_SUCH_FLOW = {404, 410}
NIL_CONVERSATION = "00000000-0000-0000-0000-000000000000"
"""An id that no conversation has."""


async def check_crm(context: Context, settings: AttributesSettings) -> list[Finding]:
    """Look up a conversation that does not exist, as the job looks up a customer."""
    crm = await open_crm(context, settings)
    try:
        status = await crm.status_for(NIL_CONVERSATION)
    except Unauthorized as error:
        return [fail(CRM, str(error), "check CRM_API_TOKEN")]
    except WorkerError as error:
        return [fail(CRM, str(error), "check CRM_API_ENDPOINT and the network to its host")]
    doubt = ", as would a wrong path" if status == 404 else ""
    return [ok(CRM, f"answers {status} for a conversation that does not exist{doubt}")]


async def check_flow(context: Context, settings: AttributesSettings) -> list[Finding]:
    """Ask for the flow's inputs, as the job does."""
    genesys = await context.genesys()

    def read() -> Call[Finding]:
        call = genesys.dialect.attributes.flow_inputs(settings.genesys_flow_id or "")
        scope = "flow:read" if genesys.dialect.name == "reference" else "architect:flow:view"
        return Call(call.request, partial(_flow, call, scope), call.upstream)

    return await genesys.finding_of(FLOW, "GENESYS_FLOW_ID", read)


def _flow(call: Call[Schema | None], scope: str, reply: Reply) -> Finding:
    if reply.status in NO_SUCH_FLOW:
        return fail(FLOW, "this flow does not exist", "check GENESYS_FLOW_ID")
    if reply.status == 403:
        return fail(FLOW, "may not be read: 403", f"give the client's role {scope}")
    inputs = call.read(reply)
    if inputs is None:
        return fail(
            FLOW, "no version with inputs is published", "publish it, or check GENESYS_FLOW_ID"
        )
    return ok(FLOW, f"exists, with {len(inputs)} inputs")


Ask = Callable[[AttributesWanted], Awaitable[tuple[Record, Schema]]]
"""Returns what is known of the customer (nothing: empty), and what the flow takes."""


async def inspector(
    context: Context, settings: AttributesSettings, files: Mapping[str, Path]
) -> Callable[[AttributesWanted], Awaitable[Inspection]]:
    """Return what holds a customer's record against the flow. `files`: `crm` and `schema`.

    Raises ConfigurationError for files that are none, and for settings that are missing.
    """
    ask = from_files(files) if files else (await _upstreams(context, settings)).ask
    # Known without credentials: files are held against each other offline.
    rules = rules_of(settings, typed=context.reference_text is not None)

    async def inspected(event: AttributesWanted) -> Inspection:
        record, schema = await ask(event)
        return inspection_of(inspect(schema, record, rules), rules)

    return inspected


def inspection_of(report: Report, rules: Rules) -> Inspection:
    """Return what is to be reported; the problem is why the event would fail."""
    problem = None
    try:
        sendable(report, rules)
    except Permanent as error:
        problem = error.reason
    masked = replace(report, attributes=dict.fromkeys(report.attributes, MASK))
    shown = Inspection(complete=not report.unfit, problem=problem)
    return replace(_of(report, shown), masked=_of(masked, shown))


def _of(report: Report, shown: Inspection) -> Inspection:
    return replace(shown, lines=tuple(_lines(report)), report=report.as_json())


def _lines(report: Report) -> Iterator[tuple[State, str, str]]:
    for name, value in report.attributes.items():
        yield "ok", "send", f"{name} = {json.dumps(value)}"
    for name in report.missing:
        yield "warn", "missing", name
    for one in report.mismatched:
        yield "fail", "mismatched", f"{one.name}: expected {one.expected}, is {one.actual}"
    for name in report.too_long:
        yield "fail", "too long", name
    for name in report.extra:
        yield "note", "extra", name
    body = {"attributes": dict(report.attributes)}
    yield "note", "payload", json.dumps(body, sort_keys=True)


@dataclass(frozen=True, slots=True)
class _Upstreams:
    crm: Crm
    genesys: Attributes
    flow_id: str

    async def ask(self, event: AttributesWanted) -> tuple[Record, Schema]:
        """Ask both; raises what they raise."""
        found = await self.crm.find(event.conversation_id, e164(event.phone_number))
        return found.value or {}, await self.genesys.flow_inputs(self.flow_id)


async def _upstreams(context: Context, settings: AttributesSettings) -> _Upstreams:
    flow_id = settings.genesys_flow_id
    if flow_id is None:
        raise ConfigurationError(["GENESYS_FLOW_ID: is not set"])
    if settings.crm_api_endpoint is None:
        raise ConfigurationError(["CRM_API_ENDPOINT: is not set"])
    genesys = await context.genesys()
    return _Upstreams(await open_crm(context, settings), genesys.attributes, flow_id)


def from_files(files: Mapping[str, Path]) -> Ask:
    """Return the answers of the CRM and of the flow, read beforehand, for every event."""
    record = _object_in(files["crm"])
    schema = schema_of(_object_in(files["schema"]))
    if schema is None:
        raise ConfigurationError([f"{files['schema']}: is neither a flow nor a JSON Schema"])

    async def ask(_: AttributesWanted) -> tuple[Record, Schema]:
        return record, schema

    return ask


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


async def trace(
    context: Context, settings: AttributesSettings, conversation_id: str
) -> list[Trace]:
    """Read which of the flow's inputs the customer of a live conversation has; no value."""
    genesys, where = (await context.genesys()).attributes, "Genesys Cloud, live conversation"
    try:
        customer = await genesys.customer(conversation_id, None)
    except (NotYet, Rejected) as error:
        if isinstance(error, Rejected) and error.status not in GONE:
            raise
        return [Trace(where=where, note="it is no longer there, or has no customer")]
    if customer.attributes is None:
        return [Trace(where=where, note="this dialect has no read of attributes")]
    inputs = await genesys.flow_inputs(settings.genesys_flow_id or "")
    names = {f"{settings.attributes_prefix}{name}" for name in inputs}
    there = len(names & set(customer.attributes))
    state = f"{there} of the flow's {len(names)} inputs are set"
    entry = TraceEntry(time=None, what="attributes", id=customer.id, state=state)
    return [Trace(where=where, entries=[entry] if there else [])]
