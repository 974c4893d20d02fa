"""X-Ray's trace header: what AWS services hand on, from an event or execution to the next.

https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

import re
from typing import NamedTuple

_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")

MAX_LENGTH = 1024
"""Longest header that is read; ours has 74 characters."""


class TraceIds(NamedTuple):
    """A span, as others may refer to it."""

    trace_id: int
    span_id: int
    sampled: bool


def written(ids: TraceIds) -> str:
    """Return the header that names the span."""
    trace = f"{ids.trace_id:032x}"
    return f"Root=1-{trace[:8]}-{trace[8:]};Parent={ids.span_id:016x};Sampled={int(ids.sampled)}"


def read(header: str) -> TraceIds | None:
    """Return the span a header names; None for one that names none, or is no such header."""
    if len(header) > MAX_LENGTH:
        return None
    parts = dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)
    root = _ROOT.fullmatch(parts.get("Root", ""))
    parent = _PARENT.fullmatch(parts.get("Parent", ""))
    if not root or not parent:
        return None
    return TraceIds(int(root[1] + root[2], 16), int(parent[0], 16), parts.get("Sampled") == "1")
