"""Flows: the inputs that one declares, a name and a kind each.

A flow's `inputSchema` is a JSON Schema; the reference dialect has `inputDefinitions` instead
(README.md). Read leniently: what is odd about a declaration is no reason to write nothing.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from worker.clients.genesys import wire
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import Misconfigured
from worker.resilience.cache import CachePolicy

FLOW_CACHE = CachePolicy(
    max_entries=16, soft_ttl_seconds=300, hard_ttl_seconds=86_400, negative_ttl_seconds=60
)
"""A publish is seen within five minutes; what a flow takes rarely changes within a day."""

NO_FLOW_PAUSE_SECONDS = 60.0
"""Pause after a missing flow: a person publishes it or corrects GENESYS_FLOW_ID."""

NO_SUCH_FLOW = {404, 410}

FLOW_PREFIX = "Flow."
"""Before a flow's variables in Architect; their schema may have it, a customer's record has not."""


class Kind(StrEnum):
    """What a declared input takes; the values are JSON Schema's words, and what reports print."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    """A string with `format` `date` or `date-time`."""

    ANY = "any"
    """Undeclared, or of a kind we know nothing of: values pass as they are."""


Schema = Mapping[str, Kind]
"""Kinds by name, without `Flow.`."""

_KINDS: Mapping[str, Kind] = {
    **{kind.value: kind for kind in Kind},
    "datetime": Kind.DATE,
    "date-time": Kind.DATE,
    "bool": Kind.BOOLEAN,
    "int": Kind.INTEGER,
    "decimal": Kind.NUMBER,
    "float": Kind.NUMBER,
}
_TYPE = re.compile(r"[A-Z]{1,40}")
_DATES = {"date", "date-time"}


def published_inputs(flow_id: str) -> Call[Schema | None]:
    """Ask for the JSON Schema of the published version: that is what runs, or of the flow itself.

    None: there is no such flow, or none is published.
    """
    return Call(_flow(flow_id), _published_inputs, wire.FLOWS)


def defined_inputs(flow_id: str) -> Call[Schema | None]:
    """Ask for the `inputDefinitions` of the reference dialect; None: there is no such flow."""
    return Call(_flow(flow_id), _defined_inputs, wire.FLOWS)


def of_json_schema(document: Mapping[str, Any]) -> Schema:
    """Read the `properties` of a JSON Schema."""
    properties = document.get("properties")
    if not isinstance(properties, dict):
        return MappingProxyType({})
    return _schema({name: _declared(value) for name, value in properties.items()})


def of_definitions(definitions: object) -> Schema:
    """Read `inputDefinitions`: a list of `name` and `dataType`; entries without a name are none."""
    listed = definitions if isinstance(definitions, list) else []
    return _schema(
        {
            entry["name"]: _kind(entry.get("dataType"))
            for entry in listed
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }
    )


def _schema(kinds: Mapping[str, Kind]) -> Schema:
    named = {name.removeprefix(FLOW_PREFIX): kind for name, kind in kinds.items()}
    return MappingProxyType({name: kind for name, kind in named.items() if name})


def _declared(value: object) -> Kind:
    if not isinstance(value, dict):
        return Kind.ANY
    kind = value.get("type")
    if isinstance(kind, list):  # ["string", "null"]: null is no value, whatever is declared
        kind = next((one for one in kind if one != "null"), None)
    if kind == Kind.STRING and str(value.get("format")) in _DATES:
        return Kind.DATE
    return _kind(kind)


def _kind(word: object) -> Kind:
    return _KINDS.get(word.lower(), Kind.ANY) if isinstance(word, str) else Kind.ANY


def _flow(flow_id: str) -> Request:
    path = "/api/v2/flows"
    return Request(
        method="GET",
        path=f"{path}/{wire.uuid_in_path('flow', flow_id)}",
        template=f"{path}/{{flowId}}",
    )


def _published_inputs(reply: Reply) -> Schema | None:
    if reply.status in NO_SUCH_FLOW:
        return None
    flow = wire.object_of(reply)
    version = flow.get("publishedVersion")
    document = version.get("inputSchema") if isinstance(version, dict) else None
    document = flow.get("inputSchema") if document is None else document
    if isinstance(document, dict):
        return of_json_schema(document)
    if version is None:
        return None
    # Such as an inbound call flow: it is there and runs, and no attribute would ever fit it.
    raise Misconfigured(
        f"genesys: the flow declares no inputs (it is of type {_type_of(flow)})",
        setting="GENESYS_FLOW_ID",
        remedy="set GENESYS_FLOW_ID to a flow that declares inputs, such as a workflow",
        retry_after=NO_FLOW_PAUSE_SECONDS,
    )


def _type_of(flow: Mapping[str, Any]) -> str:
    kind = str(flow.get("type"))
    return kind if _TYPE.fullmatch(kind) else "unknown"


def _defined_inputs(reply: Reply) -> Schema | None:
    if reply.status in NO_SUCH_FLOW:
        return None
    definitions = wire.object_of(reply).get("inputDefinitions")
    return of_definitions(definitions) if isinstance(definitions, list) else None
