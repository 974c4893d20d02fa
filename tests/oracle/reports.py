"""`report.due`: what a schedule asks for, and over which interval."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from tests.oracle.envelope import Envelope
from tests.oracle.fields import FEW, MAX_ITEMS, WIRE, Blank, Id, Text, instant, read
from tests.oracle.identity import origin, sent_at
from tests.oracle.types import ReportDue
from worker.clients.genesys.filters import Condition
from worker.errors import Permanent

Interval = tuple[datetime, datetime]
_Texts = Annotated[list[Text], FEW]
_Ids = Annotated[list[Id], FEW]


def _interval(value: object) -> Interval:
    start, slash, end = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash:
        raise ValueError("not start/end")
    if (span := (instant(start), instant(end)))[0] >= span[1]:
        raise ValueError("start not before end")
    return span


def _pairs(value: object) -> list[tuple[str, str]]:
    """Read `{dimension: value}` or `[{dimension|type, value}]`, the platform's and R4's way."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and len(value) <= MAX_ITEMS:
        pairs = [_pair(entry) for entry in value]
    else:
        raise ValueError("neither an object nor a short list")
    # Checked here and not by pydantic, whose error would name a key of the input.
    if len(pairs) > MAX_ITEMS or not all(_is_word(word) for pair in pairs for word in pair):
        raise ValueError("not pairs of dimension and value")
    return pairs


def _pair(entry: object) -> tuple[Any, Any]:
    if not isinstance(entry, dict):
        raise ValueError("not pairs of dimension and value")  # noqa: TRY004  as pydantic wants it
    return entry.get("dimension") or entry.get("type"), entry.get("value")


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256


def _timezone(value: object) -> str:
    if isinstance(value, str) and value in available_timezones():
        return value
    raise ValueError("not an IANA time zone such as Europe/Berlin")


class _Report(BaseModel):
    model_config = WIRE

    # No leading dot: the name becomes a folder, on S3 and on a local disk.
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    interval: Annotated[Interval, BeforeValidator(_interval)] | None = None
    period: Literal["day", "hour"] | None = None
    # Not one of a list: Genesys may add a type before we know it.
    media_type: Annotated[Blank | None, Field(alias="mediaType")] = None
    queue_ids: Annotated[_Ids | None, Field(alias="queueIds")] = None
    filters: Annotated[list[tuple[str, str]], BeforeValidator(_pairs)] | None = None
    group_by: Annotated[_Texts | None, Field(alias="groupBy")] = None
    timezone: Annotated[str, BeforeValidator(_timezone)] | None = None


def report_due(envelope: Envelope) -> ReportDue:
    """Read a `report.due`; Permanent when it does not say which interval."""
    report = read(_Report, envelope.detail, "detail")
    sent = sent_at(envelope)
    start, end = _span(report, sent)
    span = f"{start.isoformat()}/{end.isoformat()}"
    optional: Mapping[str, Any] = (
        {} if report.group_by is None else {"group_by": tuple(report.group_by)}
    )
    return ReportDue(
        origin=origin(envelope, sent, report.name, span, sent.isoformat()),
        name=report.name,
        start=start,
        end=end,
        media_type=(report.media_type or "").lower() or None,
        queue_ids=tuple(report.queue_ids or ()),
        filters=tuple(Condition(name, (value,), "eq") for name, value in report.filters or ()),
        timezone=report.timezone or "UTC",
        **optional,
    )


def _span(report: _Report, sent: datetime) -> Interval:
    if report.interval is not None and report.period is not None:
        raise Permanent("detail.period: not allowed beside an interval")
    if report.interval is not None:
        return report.interval
    if report.period is None:
        raise Permanent("detail.interval: missing")
    return _last_whole(report.period, sent, ZoneInfo(report.timezone or "UTC"))


def _last_whole(period: Literal["day", "hour"], sent: datetime, zone: ZoneInfo) -> Interval:
    """Return the last day or hour of the zone that was over at `sent`, its end included."""
    # Without a fold: an hour that comes twice is not for this oracle.
    local = sent.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        end = local.astimezone(UTC)
        return end - timedelta(hours=1), end
    end = local.replace(hour=0)
    return (end - timedelta(days=1)).astimezone(UTC), end.astimezone(UTC)
