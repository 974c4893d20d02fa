"""Whether a customer's record fits the flow: coercion by declared type, and the report. Pure.

Participant attributes are a map of strings, so each value has one text form; where attributes are
typed, as in text r2, it goes out as it was coerced, and the text form counts for its length alone:

    true, false         as in JSON
    numbers             `2` for 2 and 2.0, which are one number; else the shortest text that reads
                        back as the same float. A number that is declared a string keeps what the
                        record wrote: `2.0` stays `2.0`
    dates               extended ISO 8601, `Z` for UTC; a time without a zone is given none
    lists and objects   compact JSON with sorted keys
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from math import isfinite
from typing import Any

import orjson

from worker.api import Kind, Permanent, Schema

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_LARGEST_INTEGER = 10**40
_DATE = re.compile(r"[0-9W-]{7,10}([T ][0-9:.,+Z-]+)?")
"""For what `fromisoformat` is too kind to: it takes any letter between date and time."""

_EXACT_IN_A_FLOAT = 2**53
_TRUE, _FALSE = {"true", "1", "yes"}, {"false", "0", "no"}

Value = str | float | int | bool | list[Any] | dict[str, Any]


class Unfit(ValueError):
    """The value is not of the declared kind. Carries no text: the value may be personal."""


def coerce(kind: Kind, value: object) -> Value:
    """Return `value` as `kind` has it; raise Unfit when it is none, and for null always.

    Idempotent, by way of the text form too.
    """
    return _COERCIONS[kind](value)


def wire_text(value: Value) -> str:
    """Return the one text form of a coerced value; raise Unfit for lists nested beyond reason."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) <= _EXACT_IN_A_FLOAT
        return str(int(value)) if whole else repr(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:  # nested deeper than orjson writes, though it can read it
        raise Unfit from None


def json_type(value: object) -> str:
    """Return what JSON calls the type of `value`."""
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _string(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and isfinite(value):
        return repr(value)
    return wire_text(_any(value))


def _number(value: object) -> float:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise Unfit
        value = _whole(value) if _INTEGER.fullmatch(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit
    if isinstance(value, int) and abs(value) > _EXACT_IN_A_FLOAT:
        raise Unfit  # an account number that a float would round to another customer's
    if not isfinite(value):
        raise Unfit
    return float(value)


def _integer(value: object) -> int:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_IN_A_FLOAT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST_INTEGER:
        raise Unfit
    return value


def _whole(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise Unfit
    return int(text)


def _boolean(value: object) -> bool:
    if isinstance(value, list | dict | None):
        raise Unfit
    text = wire_text(_any(value)).lower()
    if text not in _TRUE | _FALSE:
        raise Unfit
    return text in _TRUE


def _date(value: object) -> str:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise Unfit
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            moment = read(value)
        except ValueError:
            continue
        text = moment.isoformat()
        return f"{text[:-6]}Z" if text.endswith("+00:00") else text
    raise Unfit


def _any(value: object) -> Value:
    if value is None or not isinstance(value, str | int | float | list | dict):
        raise Unfit
    if isinstance(value, float) and not isfinite(value):
        raise Unfit
    if isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        raise Unfit
    return value


_COERCIONS: Mapping[Kind, Callable[[object], Value]] = {
    Kind.STRING: _string,
    Kind.NUMBER: _number,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.ANY: _any,
}


MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be written; the fields are those of `AttributesSettings`."""

    strict: bool = False
    """True: an attribute that does not fit fails the event. False: it is left out."""

    max_count: int = 50
    """Attributes of one write. More fail the event: no rule says which to leave out."""

    max_length: int = 1024
    """Characters of a name and of a value. A longer one is left out, never cut."""

    prefix: str = ""
    """Put before each name, e.g. `crm.`; counts to its length."""

    typed: bool = False
    """Numbers and booleans go out as such, and not as texts."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An attribute whose value is not what the flow declares."""

    name: str
    expected: str
    actual: str
    """JSON's word for the type of what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A customer's record held against a flow's inputs. Names are the schema's, without prefix."""

    attributes: Mapping[str, Value] = field(repr=False)
    """What is to be sent."""

    missing: tuple[str, ...] = ()
    """Declared, but absent or null in the record."""

    extra: tuple[str, ...] = field(default=(), repr=False)
    """In the record, but not declared; never sent."""

    mismatched: tuple[Mismatch, ...] = ()
    too_long: tuple[str, ...] = ()

    @property
    def unfit(self) -> tuple[str, ...]:
        """Names of what the record has and the flow or the platform would not take."""
        return (*(one.name for one in self.mismatched), *self.too_long)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data, values included: for the person who asked for it."""
        return {
            "attributes": dict(self.attributes),
            "missing": list(self.missing),
            "extra": list(self.extra),
            "mismatched": [
                {"name": one.name, "expected": one.expected, "actual": one.actual}
                for one in self.mismatched
            ],
            "tooLong": list(self.too_long),
        }

    def masked(self) -> dict[str, Any]:
        """Return the report as plain data without any value: for logs."""
        return self.as_json() | {"attributes": dict.fromkeys(self.attributes, MASK)}


def inspect(schema: Schema, record: Mapping[str, Any], rules: Rules) -> Report:
    """Hold the record against the schema; nothing is refused here, see `sendable`."""
    attributes: dict[str, Value] = {}
    mismatched: list[Mismatch] = []
    too_long: list[str] = []
    there = [name for name in schema if record.get(name) is not None]
    for name in there:
        value, text = _coerced(schema[name], record[name], rules)
        if value is None:
            mismatched.append(Mismatch(name, schema[name].value, json_type(record[name])))
        elif max(len(rules.prefix + name), len(text)) > rules.max_length:
            too_long.append(name)
        else:
            attributes[rules.prefix + name] = value if rules.typed else text
    return Report(
        attributes=attributes,
        missing=tuple(name for name in schema if name not in there),
        extra=tuple(name for name in record if name not in schema),
        mismatched=tuple(mismatched),
        too_long=tuple(too_long),
    )


def sendable(report: Report, rules: Rules) -> Mapping[str, Value]:
    """Return what is to be sent; Permanent, naming no value, when the rules forbid it."""
    if rules.strict and report.unfit:
        raise Permanent(f"attributes do not fit the flow: {', '.join(report.unfit)}")
    if len(report.attributes) > rules.max_count:
        raise Permanent(f"{len(report.attributes)} attributes, allowed are {rules.max_count}")
    return report.attributes


def _coerced(kind: Kind, value: object, rules: Rules) -> tuple[Value | None, str]:
    """Return the value as declared, and as text; None where it is none, or no JSON can hold it."""
    try:
        coerced = coerce(kind, value)
        if rules.typed:
            orjson.dumps(coerced)
        return coerced, wire_text(coerced)
    except (Unfit, orjson.JSONEncodeError):
        return None, ""
