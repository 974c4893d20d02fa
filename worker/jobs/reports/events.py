"""The event: a report is due."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from msgspec import UNSET, Raw, Struct

from worker.api import (
    MAX_ITEMS,
    MAX_TEXT,
    Condition,
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
    sent_at,
)

Interval = tuple[datetime, datetime]
Period = Literal["day", "hour"]
Conditions = tuple[Condition, ...]

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
"""Names of the IANA database; not a path to any other file."""

# No leading dot: the name becomes a folder, on S3 and on a local disk.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")

NO_PAIRS = "not pairs of dimension and value"
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
    filters: Conditions = ()
    """Further conditions; all must match."""

    group_by: tuple[str, ...] = ("mediaType", "queueId")
    timezone: str = "UTC"
    """Whose days and hours these are: an IANA name that is known here."""


class _Fields(Wire):
    name: Any = UNSET
    interval: Any = None
    period: Any = None
    media_type: Any = None
    queue_ids: Any = None
    filters: Any = None
    group_by: Any = None
    timezone: Any = None


class _Report(Struct, frozen=True, kw_only=True):
    """A report as asked for, checked."""

    name: str
    interval: Interval | None
    period: Period | None
    media_type: str | None
    queue_ids: tuple[str, ...] | None
    filters: Conditions | None
    group_by: tuple[str, ...] | None
    timezone: str


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
        timezone=report.timezone,
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
        media_type=_media_type(fields.media_type),
        queue_ids=read_list(fields.queue_ids, "detail.queueIds", read_id),
        filters=read_by(_conditions, fields.filters, "detail.filters"),
        group_by=read_list(fields.group_by, "detail.groupBy", read_text),
        timezone=read_by(timezone_of, fields.timezone, "detail.timezone") or "UTC",
    )


def _name(value: object) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    if value is UNSET:
        raise Permanent("detail.name: missing")
    raise Permanent(f"detail.name: {'not allowed' if isinstance(value, str) else 'not text'}")


def _media_type(value: object) -> str | None:
    """Read any text: Genesys may add a type before we know it.

    Odd, it is refused, as is all that narrows a report: one of all media would look like the right.
    """
    return None if value is None or value == "" else read_text(value, "detail.mediaType")


def _period(value: object) -> Period | None:
    if value is None or value == "day" or value == "hour":  # noqa: PLR1714  mypy narrows these
        return value
    raise Permanent("detail.period: not allowed")


def timezone_of(value: object) -> str:
    """Return the name of a time zone; ValueError for what is none."""
    if isinstance(value, str) and _ZONE.fullmatch(value):
        # KeyError: unknown; OSError: a folder of the database, such as `Europe`.
        with suppress(KeyError, OSError, ValueError):
            return ZoneInfo(value).key
    raise ValueError("not an IANA time zone such as Europe/Berlin")


def _interval(value: object) -> Interval:
    start, slash, end = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash:
        raise ValueError("not start/end")
    if (span := (instant(start), instant(end)))[0] >= span[1]:
        raise ValueError("start not before end")
    return span


def _conditions(value: object) -> Conditions:
    """Read `{dimension: value}` or `[{dimension|metric|type, operator, value}]`."""
    if isinstance(value, dict):
        found = [_condition(name, None, wanted) for name, wanted in value.items()]
    elif isinstance(value, list) and len(value) <= MAX_ITEMS:
        found = [_listed(entry) for entry in value]
    else:
        raise ValueError("neither an object nor a short list")
    # Reported without its place: that would be a key of the input.
    if len(found) > MAX_ITEMS:
        raise ValueError(NO_PAIRS)
    return tuple(found)


def _listed(entry: object) -> Condition:
    if not isinstance(entry, dict):
        raise ValueError(NO_PAIRS)  # noqa: TRY004  as `read_by` wants it
    name = entry.get("dimension") or entry.get("metric") or entry.get("type")
    return _condition(name, entry.get("operator"), entry.get("value"))


def _condition(name: object, operator: object, value: object) -> Condition:
    values = value if isinstance(value, list) else [value]
    known = Condition.operators().get(operator) if isinstance(operator, str) else None
    if known is None and operator is not None:
        raise ValueError(f"not an operator: {', '.join(Condition.operators())}")
    known = known or ("in" if isinstance(value, list) else "eq")
    if known in {"gt", "lt"}:
        return Condition(_word(name), (_number(value),), known)
    if not 0 < len(values) <= MAX_ITEMS:
        raise ValueError(NO_PAIRS)
    return Condition(_word(name), tuple(_word(one) for one in values), known)


def _word(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_TEXT:
        return value
    raise ValueError(NO_PAIRS)


def _number(value: object) -> str:
    number = Decimal(value) if type(value) is int else value
    if isinstance(number, Decimal) and number.is_finite():
        return str(number)
    raise ValueError("gt and lt are for numbers")


def _span(report: _Report, sent: datetime) -> Interval:
    if report.interval is not None and report.period is not None:
        raise Permanent("detail.period: not allowed beside an interval")
    if report.interval is not None:
        return report.interval
    if report.period is None:
        raise Permanent("detail.interval: missing")
    return _last_whole(report.period, sent.astimezone(ZoneInfo(report.timezone)))


def _last_whole(period: Period, sent: datetime) -> Interval:
    """Return the last day or hour that was over at `sent`, in its zone; the bounds are in UTC.

    A day is from midnight to midnight: 23 or 25 hours where the clocks are changed.
    """
    if period == "hour":
        hour = sent.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        return hour - timedelta(hours=1), hour
    today = sent.date()
    return midnight(today - timedelta(days=1), sent.tzinfo), midnight(today, sent.tzinfo)


def midnight(day: date, zone: tzinfo | None) -> datetime:
    """Return in UTC when a day begins in a zone."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
