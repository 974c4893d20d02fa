"""The event: a report is due."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import UNSET, Raw, Struct

from worker.api import (
    MAX_ITEMS,
    MAX_TEXT,
    Envelope,
    Event,
    Permanent,
    Wire,
    decoder,
    flat_detail,
    instant,
    iso,
    origin,
    read_by,
    read_id,
    read_list,
    read_text,
    read_text_if_any,
    sent_at,
)

Interval = tuple[datetime, datetime]
Period = Literal["day", "hour"]
Pairs = tuple[tuple[str, str], ...]

# No leading dot: the name becomes a folder, on S3 and on a local disk.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")

EMPTY_SCHEDULE = (
    "detail.name: missing; the schedule sends an empty detail, and its target needs an input "
    'with a detail such as {"name": "daily", "period": "day"}'
)
"""EventBridge's own "Scheduled Event" has nothing in it, and gives no reason."""


class ReportDue(Event, frozen=True, kw_only=True):
    """A report over an interval is wanted."""

    name: str
    """Part of the S3 key: letters, digits, `.`, `_`, `-`; at most 64."""

    start: datetime
    end: datetime
    media_type: str | None = None
    queue_ids: tuple[str, ...] = ()
    filters: Pairs = ()
    """Further (dimension, value) pairs; all must match."""

    group_by: tuple[str, ...] = ("mediaType", "queueId")


class _Fields(Wire):
    name: Any = UNSET
    interval: Any = None
    period: Any = None
    media_type: Any = None
    queue_ids: Any = None
    filters: Any = None
    group_by: Any = None


class _Report(Struct, frozen=True, kw_only=True):
    """A report as asked for, checked."""

    name: str
    interval: Interval | None
    period: Period | None
    media_type: str | None
    queue_ids: tuple[str, ...] | None
    filters: Pairs | None
    group_by: tuple[str, ...] | None


_fields = decoder(_Fields)
_keys = decoder(dict[str, Raw])


def report_due(envelope: Envelope) -> ReportDue:
    """Read a `report.due`; Permanent when it does not say which interval."""
    report = _report(envelope)
    sent = sent_at(envelope)
    start, end = _span(report, sent)
    optional: Mapping[str, Any] = {} if report.group_by is None else {"group_by": report.group_by}
    return ReportDue(
        origin=origin(envelope, sent, f"{report.name}|{iso(start)}/{iso(end)}|{iso(sent)}"),
        name=report.name,
        start=start,
        end=end,
        media_type=report.media_type and report.media_type.lower(),
        queue_ids=report.queue_ids or (),
        filters=report.filters or (),
        **optional,
    )


def _report(envelope: Envelope) -> _Report:
    fields = flat_detail(envelope, _fields)
    if fields.name is UNSET and not flat_detail(envelope, _keys):
        raise Permanent(EMPTY_SCHEDULE)
    return _Report(
        name=_name(fields.name),
        interval=read_by(_interval, fields.interval, "detail.interval"),
        period=_period(fields.period),
        # Not one of a list: Genesys may add a type before we know it.
        media_type=read_text_if_any(fields.media_type, "detail.mediaType"),
        queue_ids=read_list(fields.queue_ids, "detail.queueIds", read_id),
        filters=read_by(_pairs, fields.filters, "detail.filters"),
        group_by=read_list(fields.group_by, "detail.groupBy", read_text),
    )


def _name(value: object) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    if value is UNSET:
        raise Permanent("detail.name: missing")
    raise Permanent(f"detail.name: {'not allowed' if isinstance(value, str) else 'not text'}")


def _period(value: object) -> Period | None:
    if value is None or value == "day" or value == "hour":  # noqa: PLR1714  mypy narrows these
        return value
    raise Permanent("detail.period: not allowed")


def _interval(value: object) -> Interval:
    start, slash, end = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash:
        raise ValueError("not start/end")
    if (span := (instant(start), instant(end)))[0] >= span[1]:
        raise ValueError("start not before end")
    return span


def _pairs(value: object) -> Pairs:
    """Read `{dimension: value}` or `[{dimension|type, value}]`, as platform and reference do."""
    if isinstance(value, dict):
        pairs = tuple(value.items())
    elif isinstance(value, list) and len(value) <= MAX_ITEMS:
        pairs = tuple(_pair(entry) for entry in value)
    else:
        raise ValueError("neither an object nor a short list")
    # Reported without its place: that would be a key of the input.
    if len(pairs) > MAX_ITEMS or not all(_is_word(word) for pair in pairs for word in pair):
        raise ValueError("not pairs of dimension and value")
    return pairs


def _pair(entry: object) -> tuple[Any, Any]:
    if not isinstance(entry, dict):
        raise ValueError("not pairs of dimension and value")  # noqa: TRY004  as `read_by` wants it
    return entry.get("dimension") or entry.get("type"), entry.get("value")


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def _span(report: _Report, sent: datetime) -> Interval:
    if report.interval is not None and report.period is not None:
        raise Permanent("detail.period: not allowed beside an interval")
    if report.interval is not None:
        return report.interval
    if report.period is None:
        raise Permanent("detail.interval: missing")
    return _last_whole(report.period, sent)


def _last_whole(period: Period, sent: datetime) -> Interval:
    """Return the last UTC day or hour that was over at `sent`, its end included."""
    hour = sent.replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return hour - timedelta(hours=1), hour
    midnight = hour.replace(hour=0)
    return midnight - timedelta(days=1), midnight
