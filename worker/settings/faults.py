"""How a bad value is reported: setting, fault, example, and the value where it is no secret.

Of a URL only the host is shown: the path of a webhook is often its password.
"""

import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from worker.settings.fields import Group, doc_of, variable_name

MOST_SHOWN = 80
"""Characters of a value that are shown."""

WORDS = {
    "bool_parsing": "must be true or false",
    "finite_number": "must be finite",
    "float_parsing": "must be a number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "url_parsing": "must be a URL",
    "url_scheme": "must be a URL that begins with https://",
}
"""A validator's kinds of faults in our words; its own speak of parsing, inputs and bases."""


def problems_of(kind: type[Group], error: ValidationError, texts: Mapping[str, str]) -> list[str]:
    """Return a line for each fault. `texts`: of all variables, by name."""
    entries = error.errors(include_url=False, include_input=False)
    return [_problem(kind, entry, texts) for entry in entries]


def _problem(kind: type[Group], entry: ErrorDetails, texts: Mapping[str, str]) -> str:
    if not entry["loc"]:
        return _own(entry["msg"])
    field = str(entry["loc"][0])
    name, info = variable_name(kind, field), kind.model_fields[field]
    if entry["type"] == "missing":
        doc = doc_of(kind, field)
        return f"{name}: is not set — {doc[:1].lower() if doc[1:2].islower() else doc[:1]}{doc[1:]}"
    fault = _fault(entry)
    example = "" if "e.g." in fault else example_of(info)
    parts = [fault, f"; e.g. {example}" if example else "", _set_to(info, texts.get(name, ""))]
    return f"{name}: {''.join(parts)}"


def _fault(entry: ErrorDetails) -> str:
    words = WORDS.get(entry["type"])
    return words.format(**entry.get("ctx", {})) if words else _own(entry["msg"])


def _own(message: str) -> str:
    return message.removeprefix("Value error, ")


def is_secret(info: FieldInfo) -> bool:
    """Whether the value of a field must not be shown."""
    return "SecretStr" in str(info.annotation)


def example_of(info: FieldInfo) -> str:
    """Return what a value looks like: an example of its type, or else the default."""
    if is_secret(info):
        return ""
    shown = (getattr(part, "examples", None) for part in _parts(info.annotation))
    # Of a type that is made of another, the last one is its own.
    for found in (info.examples, *reversed([*shown])):
        if found:
            return str(found[0])
    default = info.default
    if isinstance(default, bool):
        return ""
    if isinstance(default, int | float):
        return str(default).removesuffix(".0")
    return "60" if {int, float}.intersection(_parts(info.annotation)) else ""


def _parts(annotation: Any) -> list[Any]:
    """Return all that an annotation is made of: types, and what is said of them."""
    inner = [part for one in get_args(annotation) for part in _parts(one)]
    said = getattr(annotation, "__metadata__", ())
    return [annotation, *said, *inner]


def _set_to(info: FieldInfo, text: str) -> str:
    if not text or is_secret(info):
        return ""
    shown = _without_paths(text)
    if "HttpUrl" in str(info.annotation) and "://" not in text:
        # It may be anything, a token too; what looks like a host is shown.
        host = re.match(r"(?:[^@/?#]*@)?([\w-]+(?:\.[\w-]+)+(?::\d+)?)(?=[/?#]|$)", text)
        shown = host[1] if host else ""
    return f" (set to {shown[:MOST_SHOWN]!r})" if shown else ""


def _without_paths(text: str) -> str:
    """Return a text whose URLs are hosts only."""
    return re.sub(r"://(?:[^@/?#,\s]*@)?([^/?#,\s]*)[^,\s]*", r"://\1", text)
