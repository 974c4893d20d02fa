"""One HTTP request and its reply as plain data: what is sent, what is back, what it means. No I/O.

A URL that a setting names whole, as the CRM's and the webhooks', is taken apart once: `HttpClient`
takes an origin only. Neither part is ever logged: the path of a webhook is often its password.

Bodies are read as clients in the field read them. Servers put a byte order mark before the JSON,
write latin-1 and declare it, or let NaN and half an emoji stand in a field that is not read.
None of that is an outage.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from math import isfinite
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
import orjson

from worker.errors import (
    ConfigurationError,
    Misconfigured,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.resilience.retry import parse_retry_after

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be sent. Bodies and headers stay out of `repr`: they hold numbers and secrets."""

    method: str
    path: str = field(repr=False)
    """Path below the upstream's base URL; every id in it was validated by its builder."""

    template: str
    """The path with `{names}` for ids: the form that may be logged."""

    json: Any = field(default=None, repr=False)
    """Body to be sent as JSON; None sends none."""

    form: Mapping[str, str] | None = field(default=None, repr=False)
    """Body to be sent as `application/x-www-form-urlencoded`."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; values of a repeated header joined by commas."""

    body: bytes = field(default=b"", repr=False)
    received_at: datetime
    """Wall clock, UTC: what a `Retry-After` given as an HTTP date is measured against."""


REFUSED_PAUSE_SECONDS = 30.0
"""Pause after refused credentials: only a person can fix them."""

_RETRIABLE = {408, 425}


def origin_of(name: str, url: str) -> str:
    """Return scheme, host and port; raise ConfigurationError for a URL with credentials."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError([f"{name}: user info in the URL"])
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))


def path_of(url: str, **query: str | None) -> str:
    """Return path and query, with `query` added; parameters that are None are left out."""
    parts = urlsplit(url)
    added = urlencode({name: value for name, value in query.items() if value is not None})
    whole = "&".join(part for part in (parts.query, added) if part)
    return f"{parts.path or '/'}?{whole}" if whole else parts.path or "/"


def no_way_through(reason: str) -> Misconfigured:
    """Return the problem of a proxy that wants credentials (407) or does not pass a host (403)."""
    remedy = "see that the proxy of HTTPS_PROXY passes this host, and that HTTPS_PROXY has its user"
    return Misconfigured(
        reason,
        setting="HTTPS_PROXY",
        remedy=f"{remedy} and password: http://user:password@proxy.example:3128",
        retry_after=REFUSED_PAUSE_SECONDS,
    )


def failure_of(upstream: str, reply: Reply, setting: str | None = None) -> WorkerError:
    """Return the failure that a reply outside 2xx names. `setting`: where its credentials are.

    A redirect is Unavailable and refused credentials are Unauthorized: the endpoint was moved
    or a secret changed, which is no fault of the messages that meet it.
    """
    text = f"{upstream}: {reply.status}"
    asked = parse_retry_after(reply.headers.get("retry-after"), now=reply.received_at)
    if reply.status == 429:
        return RateLimited(text, retry_after=asked)
    if reply.status == 407:
        return no_way_through(text)
    if reply.status in {401, 403}:
        named = setting or upstream
        return Unauthorized(
            text,
            setting=named,
            remedy=f"check {named}: {upstream} refuses its credentials",
            retry_after=asked or REFUSED_PAUSE_SECONDS,
        )
    if 400 <= reply.status < 500 and reply.status not in _RETRIABLE:
        return Rejected(text, status=reply.status)
    return Unavailable(text, retry_after=asked)


MAX_ODD_BYTES = 1_048_576
"""Of a body that is not plain UTF-8 JSON: reading it takes ten times as long."""

_CHARSET = re.compile(r'charset\s*=\s*"?([\w.:-]{1,40})', re.IGNORECASE)
_CHARSETS = re.compile(r"(ascii|big5|cp|euc|gb|iso8859|koi8|shift_jis|utf-(8|16|32))[\w-]*")
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


def decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return a body by a decoder; None where it is for `json_of` to say what it is."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        if not body.isascii():
            body.decode()  # a decoder does not check the texts that it leaves out
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def as_written(listed: object) -> list[msgspec.Raw]:
    """Return the objects of a list whose entries are not decoded yet; else an empty list."""
    entries = listed if isinstance(listed, list) else []
    return [entry for entry in entries if memoryview(entry)[0] == ord("{")]


def each(upstream: str, entries: Iterable[msgspec.Raw], kind: type[T]) -> Iterator[T]:
    """Yield each entry of a list as an object of a type, decoded when it is asked for.

    Of a Struct, a member whose value does not fit is left out, as are numbers that no double
    holds. Raises Unreadable for what is not of the type all the same.
    """
    decoder = msgspec.json.Decoder(kind)
    for entry in entries:
        try:
            one = decoder.decode(entry)
        except msgspec.MsgspecError:
            one = _odd(upstream, entry, kind)
        yield one


def _odd(upstream: str, entry: msgspec.Raw, kind: type[T]) -> T:
    written = bytes(memoryview(entry))
    try:
        try:
            value = orjson.loads(written)
        except orjson.JSONDecodeError:
            value = _cleaned(written.decode())
        return msgspec.convert(fitting(value, kind), kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise Unreadable(f"{upstream}: unreadable entry")


def fitting(value: Any, kind: Any) -> Any:
    """Return what fits a type: a Struct's members and a list's entries that do not are left out."""
    if isinstance(value, dict) and (members := _members(kind)):
        found = {name: fitting(value[name], of) for name, of in members.items() if name in value}
        return {name: part for name, part in found.items() if part is not msgspec.UNSET}
    if isinstance(value, list) and (of := _entries(kind)) is not None:
        parts = [fitting(one, of) for one in value]
        return [part for part in parts if part is not msgspec.UNSET]
    try:
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError:
        return msgspec.UNSET


@cache
def _members(kind: Any) -> dict[str, Any]:
    """Return the types of a Struct's members by their names in JSON; of another type, none."""
    if not isinstance(kind, type) or not issubclass(kind, msgspec.Struct):
        return {}
    return {one.encode_name: one.type for one in msgspec.structs.fields(kind)}


@cache
def _entries(kind: Any) -> Any:
    """Return the type of a list's entries; None where there can be no list."""
    options = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return next((get_args(one)[0] for one in options if get_origin(one) is list), None)


def _text(body: bytes, content_type: str) -> str:
    """Decode; UTF-8 first, as JSON is, for its other readers ignore what is declared."""
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        declared = _CHARSET.search(content_type)
        charset = codecs.lookup(declared[1]).name if declared else ""
        if not _CHARSETS.fullmatch(charset):
            raise
        return body.decode(charset)


def _cleaned(text: str) -> Any:
    value = json.loads(text, parse_constant=_nothing, parse_float=_finite, parse_int=_whole)
    return orjson.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _nothing(_: str) -> None:
    return None


def _whole(digits: str) -> int | None:
    # Not int() alone: it refuses more digits than 4,300, and orjson what no double holds.
    return int(digits) if isfinite(float(digits)) else None


def _finite(digits: str) -> float | None:
    return number if isfinite(number := float(digits)) else None
