"""What may not reach a log: secrets, phone numbers, e-mail addresses, endless or unprintable text.

This is a safety net: no code logs such values on purpose. It catches what
libraries and exceptions bring along. Pure functions.
"""

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

from pydantic import SecretStr

MAX_CHARACTERS = 2048
MAX_ITEMS = 50
MAX_DEPTH = 5
MASK = "***"

_MARGIN = 128
"""Read beyond the cut, so that a number the cut would halve is still seen as one."""

_SECRET_KEY = re.compile(
    r"secret|token|authorization|passw|api[_\-]?key|cookie|credential|signature", re.IGNORECASE
)
_ABOUT_A_SECRET = re.compile(r"_(problem|outcome|error|seconds|count|state|status|path)$")

_HYPHENS = r"\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_BETWEEN = (
    rf"(?:%20|[\s()./\xb7\u200b-\u200f\u202a-\u202e\u2060-\u2069\uff08\uff09{_HYPHENS}]{{0,3}}+)"
)
"""What people, address books and URLs put between the digits of a number."""

_PHONE = rf"""
      (?P<phone>
          (?:\btel:|\bsips?:|\btel%3A)[^\s"'<>,;&]+                 # RFC 3966, SIP addresses
        | (?:(?<!\d)[+\uff0b\ufe62]|%2B){_BETWEEN}\d(?:{_BETWEEN}\d){{6,14}}      # E.164
        | (?<![\w.\-])(?!(?<=/)\d{{12}}(?!\d))                      # 0049 …; no account in a path
          [0\uff10]{{2}}[1-9\uff11-\uff19](?:{_BETWEEN}\d){{7,14}}(?![\w:])
        | (?:\(\d{{3}}\)[ ]?|(?<![\w.\-])(?:1[.{_HYPHENS}])?\d{{3}}[.{_HYPHENS}])  # (555) 123-4567
          \d{{3}}[ .{_HYPHENS}]\d{{4}}(?![\w:])
        | (?<![\w.:/\-])0[1-9](?:                                   # 0151 1234567, 01 23 45 67 89
              \d{{1,4}}\)?[ /{_HYPHENS}](?:{_BETWEEN}\d){{6,10}} | (?:[ .{_HYPHENS}]\d\d){{4}}
          )(?![\w:])
      )"""

_PERSONAL = rf"""
      (?P<keep>
          (?<![0-9a-f])[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}        # UUIDs
        | \barn:aws[\w\-]{{0,8}}:[\w\-]{{0,32}}:[\w\-]{{0,32}}:\d{{12}}           # AWS accounts
      )
    |{_PHONE}
    | (?P<token>
          \bbearer\s+(?=\S*[\d._~+/=\-])[\w.~+/=\-]{{6,}}
        | \bbasic\s+[A-Za-z0-9+/=]{{12,}}
        | \beyJ[\w\-]{{8,512}}+\.[\w\-.]+                           # JSON web token
        | \b(?:AKIA|ASIA)[A-Z0-9]{{16}}\b                           # AWS access key id
        | \bwhsec_[A-Za-z0-9+/=]+                                   # webhook secret
      )
    | (?P<name>
          (?:secret|token|passw(?:or)?d|signature|api[_\-]?key|authorization|cookie|credential)
          [\w\-]{{0,32}}+
      )
      (?P<is>["']?\s?=\s?["']?|["']\s?:\s?["'])                     # key=value, "key": "value"
      (?:[^\s"'&,;}}{{]+)"""

_WITH_AT = rf"""
      (?P<scheme>\b[a-z][a-z0-9+.\-]{{0,15}}+://)[^\s/"'<>@]*(?:@[^\s/"'<>@]*)*@  # user:password@
    |{_PERSONAL}
    | (?P<email>[\w.%+\-]{{1,64}}@[\w\-]{{1,64}}(?:\.[\w\-]{{1,64}}){{1,6}})"""

_FLAGS = re.IGNORECASE | re.VERBOSE


@cache
def _search(*, with_at: bool) -> re.Pattern[str]:
    """Compile at the first use, as that takes 10 ms.

    The costlier one is for text with an @ in it. All repeats in both are bounded, or cannot begin
    anew within what they have run over: the work grows as the text does, whatever the text is.
    """
    return re.compile(_WITH_AT if with_at else _PERSONAL, _FLAGS)


_HARMLESS = re.compile(
    r"(?!whsec_|AKIA|ASIA)(?:(?!00)\d{0,64}|(?=[\d.\-]*+[A-Za-z_])[\w.\-]{0,64})", re.ASCII
)
"""Ids, names, numbers: most of all values. Shorter than any token, and of digits alone only without
the plus, zeros or hyphens of a phone number; spares them the search above, which would cost more
than the rest of the line."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ud800-\udfff]"
)


def scrub(value: object, depth: int = 0) -> object:
    """Return `value` as plain, bounded JSON data with secrets and personal data masked."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _text(value)
    if isinstance(value, str):
        return clean(value)
    if depth >= MAX_DEPTH or not isinstance(value, Mapping | list | tuple | set | frozenset):
        return _text(value)
    if isinstance(value, Mapping):
        return scrub_mapping(value, depth + 1)
    return [scrub(item, depth + 1) for item in islice(value, MAX_ITEMS)]


def scrub_mapping(values: Mapping[Any, Any], depth: int = 0) -> dict[str, object]:
    """Return a scrubbed copy of `values`; what stands under a secret's name is masked whole."""
    scrubbed = {}
    for key, value in islice(values.items(), MAX_ITEMS):
        name = key if isinstance(key, str) and key.isidentifier() else clean(str(key))
        scrubbed[name] = MASK if _is_secret(name, value) else scrub(value, depth)
    return scrubbed


def clean(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return `text` with personal data masked, cut to `limit` characters."""
    if _HARMLESS.fullmatch(text):
        return text
    cut = len(text) > limit
    search = _search(with_at="@" in text)
    text = search.sub(_mask, text[: limit + _MARGIN] if cut else text)
    if cut:
        text = f"{text[:limit]}… (cut)"
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def clean_end(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Do as `clean` does but keep the end, where a traceback names the error."""
    if len(text) <= limit:
        return clean(text)
    # Masked before it is cut: half a number looks like none.
    return f"(cut) …{clean(text[-limit - _MARGIN :], limit + _MARGIN)[-limit:]}"


def escape(text: str) -> str:
    """Return `text` without control, line-separating, invisible or bidirectional characters."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _mask(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "keep":
        return match[0]
    if kind == "is":
        return f"{match['name']}{match['is']}{MASK}"
    if kind == "scheme":
        return f"{match['scheme']}{MASK}@"
    return f"[{kind}]"


def _is_secret(name: str, value: object) -> bool:
    if isinstance(value, SecretStr):
        return True
    if value is None or isinstance(value, bool | int | float):
        return False
    return bool(_SECRET_KEY.search(name)) and not _ABOUT_A_SECRET.search(name)


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    try:
        return clean(str(value))
    except Exception:  # noqa: BLE001  a log call must not fail for a value's broken __str__
        return f"(unprintable {type(value).__name__})"
