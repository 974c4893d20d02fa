"""`worker schema --asyncapi`: what the worker receives and sends, as one AsyncAPI 3.0 document.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from worker import __version__

if TYPE_CHECKING:
    from worker.api import Job
    from worker.events.reading import EventType

Schema = dict[str, Any]

SCHEMAS = "#/components/schemas/"
MESSAGES = "#/components/messages/"
EVENTBRIDGE = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html"
REGION = {"description": "AWS_REGION", "examples": ["eu-west-1"]}


def document(jobs: "Sequence[Job[Any]]", puts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the document: a queue per job, and the bus with what the jobs put there.

    `puts`: entries with `job`, `source`, `detailType`, and a `schema` of the detail or None.
    """
    messages = {event.kind.__name__: _received(event, job) for job in jobs for event in job.events}
    kinds = [event.kind for job in jobs for event in job.events]
    _, found = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "{name}")
    schemas: dict[str, Schema] = _moved(found, "")
    channels = {job.name: _queue(job) for job in jobs if job.events}
    operations = {f"receive.{name}": _operation("receive", name) for name in channels}
    sent: dict[str, list[str]] = {}
    for put in puts:
        messages[put["detailType"]] = _sent(put, schemas)
        sent.setdefault(put["job"], []).append(put["detailType"])
    if sent:
        channels["bus"] = _bus([kind for of_job in sent.values() for kind in of_job])
    for name, of_job in sent.items():
        operations[f"send.{name}"] = _operation("send", "bus", of_job)
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _info() -> dict[str, Any]:
    return {
        "title": "genesys-event-worker",
        "version": __version__,
        "description": "Takes Genesys Cloud events from SQS and acts on them.",
        "license": {"name": "Apache-2.0"},
    }


def _servers() -> dict[str, Any]:
    hosts = {"sqs": ("sqs", "sqs"), "eventbridge": ("events", "https")}
    return {
        name: {
            "host": f"{host}.{{region}}.amazonaws.com",
            "protocol": protocol,
            "variables": {"region": REGION},
        }
        for name, (host, protocol) in hosts.items()
    }


def _queue(job: "Job[Any]") -> dict[str, Any]:
    return {
        "address": None,
        "title": f"The queue of {job.name}",
        "summary": job.summary,
        "description": "Bound by SQS_QUEUE_URL; jobs may share one.",
        "servers": [{"$ref": "#/servers/sqs"}],
        "messages": _refs([event.kind.__name__ for event in job.events], MESSAGES),
    }


def _bus(kinds: list[str]) -> dict[str, Any]:
    return {
        "address": None,
        "title": "The event bus",
        "description": "EVENT_BUS_NAME",
        "servers": [{"$ref": "#/servers/eventbridge"}],
        "messages": _refs(kinds, MESSAGES),
    }


def _operation(action: str, channel: str, kinds: Sequence[str] = ()) -> dict[str, Any]:
    """Return an operation on all messages of a channel, or on those that are named."""
    named = [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in kinds]
    whole: dict[str, Any] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    return whole | ({"messages": named} if named else {})


def _refs(names: list[str], place: str) -> dict[str, Any]:
    return {name: {"$ref": place + name} for name in names}


def _received(event: "EventType", job: "Job[Any]") -> dict[str, Any]:
    """Return the message as it is on the queue; `x-read-as` is what the job gets of it.

    The detail is open: it comes in Genesys' form or in the flat one, and each is read leniently.
    """
    types = [_type_schema(glob) for glob in getattr(job.settings(), event.types)]
    return {
        "name": event.kind.__name__,
        "summary": (event.kind.__doc__ or "").partition("\n")[0],
        "externalDocs": {"url": EVENTBRIDGE},
        "payload": _envelope({"anyOf": types} if types else {"type": "string"}, {"type": "object"}),
        "x-read-as": {"$ref": SCHEMAS + event.kind.__name__},
    }


def _type_schema(glob: str) -> Schema:
    if not re.search(r"[*?\[]", glob):
        return {"const": glob}
    parts = re.split(r"([*?])", glob)
    return {"pattern": f"^{''.join(_GLOBS.get(part, re.escape(part)) for part in parts)}$"}


_GLOBS = {"*": ".*", "?": "."}


def _sent(put: dict[str, Any], schemas: dict[str, Schema]) -> dict[str, Any]:
    kind = put["detailType"]
    detail: Schema = {"type": "object"}
    if put["schema"] is not None:
        schemas |= _lifted(kind, put["schema"])
        detail = {"$ref": SCHEMAS + kind}
    payload = _envelope({"const": kind}, detail)
    payload["properties"]["source"] = {"const": put["source"]}
    return {"name": kind, "externalDocs": {"url": EVENTBRIDGE}, "payload": payload}


def _envelope(kind: Schema, detail: Schema) -> Schema:
    """Return the schema of an event of EventBridge."""
    return {
        "type": "object",
        "required": ["detail-type", "detail"],
        "properties": {
            "id": {"type": "string"},
            "source": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "detail-type": kind,
            "detail": detail,
        },
    }


def _lifted(name: str, schema: Schema) -> dict[str, Schema]:
    """Return a schema and its definitions as components: `#/$defs` would be the document's own."""
    inner = schema.get("$defs", {})
    whole = {key: part for key, part in schema.items() if key not in {"$defs", "$schema"}}
    named = {name: whole} | {f"{name}.{key}": part for key, part in inner.items()}
    return {key: _moved(part, name) for key, part in named.items()}


def _moved(part: Any, name: str) -> Any:
    """Return a schema as AsyncAPI reads it: JSON Schema's draft 7, definitions of `name` moved."""
    if isinstance(part, list):
        return [_moved(one, name) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        "items" if key == "prefixItems" else key: value.replace("#/$defs/", f"{SCHEMAS}{name}.")
        if key == "$ref"
        else _moved(value, name)
        for key, value in part.items()
    }
