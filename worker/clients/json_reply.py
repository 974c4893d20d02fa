"""The JSON of a reply, read as clients in the field read it.

Servers put a byte order mark before it, write latin-1 and say so, or let NaN and half an emoji
stand in a field that nobody asked for. None of that is an outage.
"""

import codecs
import json
import re
from math import isfinite
from typing import Any

import orjson

from worker.clients.exchange import Reply
from worker.errors import Unreadable

MAX_ODD_BYTES = 1_048_576
"""Of a body that is not plain UTF-8 JSON: reading it takes ten times as long."""

_CHARSET = re.compile(r'charset\s*=\s*"?([\w.:-]{1,40})', re.IGNORECASE)
_TEXT = re.compile(r"(ascii|big5|cp|euc|gb|iso8859|koi8|shift_jis|utf-(8|16|32))[\w-]*")
"""Python's names of charsets; it has codecs that are none, and one that takes quadratic time."""


def json_of(upstream: str, reply: Reply) -> Any:
    """Return the value of a reply's body; None for an empty one.

    NaN, Infinity and what no double holds are read as null, half a surrogate pair as `?`. Raises
    Unreadable for what is no JSON all the same.
    """
    body = reply.body.removeprefix(codecs.BOM_UTF8).strip()
    try:
        return orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        pass
    if len(body) <= MAX_ODD_BYTES:
        try:
            return _cleaned(_text(body, reply.headers.get("content-type", "")))
        except (ValueError, LookupError, RecursionError):
            pass
    # Raised out here: a decoder's error holds the document.
    raise Unreadable(f"{upstream}: unreadable reply")


def _text(body: bytes, content_type: str) -> str:
    """Decode; UTF-8 first, as JSON is, for its other readers never look at what is declared."""
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        declared = _CHARSET.search(content_type)
        charset = codecs.lookup(declared[1]).name if declared else ""
        if not _TEXT.fullmatch(charset):
            raise
        return body.decode(charset)


def _cleaned(text: str) -> Any:
    value = json.loads(text, parse_constant=_nothing, parse_float=_finite)
    return orjson.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _nothing(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    return number if isfinite(number := float(digits)) else None
