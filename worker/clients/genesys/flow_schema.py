"""The inputs a flow declares: a name and a kind each.

A flow's `inputSchema` is a JSON Schema; the reference dialect has `inputDefinitions` instead (see
worker/clients/genesys/README.md). Read leniently: what is odd about a declaration is no reason to
write nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

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
_DATES = {"date", "date-time"}


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
