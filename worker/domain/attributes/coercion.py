"""Values of a customer's record as a flow's inputs want them, and as the wire carries them.

Participant attributes are a map of strings, so each value has one text form:

    true, false         as in JSON
    numbers             `2` for 2 and 2.0, which are one number; else the shortest text that reads
                        back as the same float. A number that is declared a string keeps what the
                        record wrote: `2.0` stays `2.0`
    dates               extended ISO 8601, `Z` for UTC; a time without a zone is given none
    lists and objects   compact JSON with sorted keys
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any

import orjson

from worker.clients.genesys.flows import Kind

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
        raise Unfit  # an account number that a float would round to somebody else's
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
