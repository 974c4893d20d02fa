"""The files of a report: CSV, JSON, its page, and the manifest, which is written last. Pure.

A spreadsheet cannot mistake the CSV (RFC 4180) for formulas: a text cell that it would run gets an
apostrophe in front, which it shows as text; so does one that already begins with apostrophes and
would run without them. Numbers are untouched: they are ours, and `-1` must stay a number.
"""

import csv
import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Self
from unicodedata import normalize

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from worker.jobs.reports.events import Interval, ReportDue
from worker.jobs.reports.figures import RELATIVE_ERROR, Figures
from worker.jobs.reports.page import html_page
from worker.jobs.reports.report import (
    METRICS,
    NameOf,
    Previous,
    Report,
    cells,
    columns,
    filters_of,
    interval_of,
    iso,
    metric,
)
from worker.jobs.reports.rows import dimensions_of

NAMELESS: NameOf = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class File:
    """One file of a report."""

    name: str
    content_type: str
    body: bytes


def folder(name: str, start: datetime) -> str:
    """Return where a report's files go; the same for every run, so that a later one replaces it.

    The start is ISO 8601 in its basic form: `:` is awkward in S3 keys and on some disks.
    """
    return f"reports/{name}/{start.astimezone(UTC):%Y%m%dT%H%M%SZ}/"


def files_of(report: Report, names: NameOf = NAMELESS) -> list[File]:
    """Return all files but the manifest. `names`: of queues, agents and others, by id."""
    data = [
        File("report.csv", "text/csv; charset=utf-8", csv_text(report, names).encode()),
        File(FIGURES, "application/json", json_text(report, names)),
    ]
    links = {one.name: _inline(one) for one in data if len(one.body) <= LARGEST_LINKED}
    page = html_page(report, names, links)
    return [*data, File("report.html", "text/html; charset=utf-8", page.encode())]


def _inline(file: File) -> str:
    """Return an address that has the file in it: a signed one would expire, and be a secret."""
    return f"data:{file.content_type.replace(' ', '')};base64,{b64encode(file.body).decode()}"


LARGEST_LINKED = 4_000_000
"""Bytes of a file that is part of the page; browsers end addresses at some size."""

FIGURES = "report.json"
NAME = "manifest.json"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Entry(_Wire):
    """One file of the report."""

    name: str = Field(pattern=r"^[a-z]+\.[a-z]+$")
    content_type: str = Field(alias="contentType")
    bytes: int
    sha256: str


class Manifest(_Wire):
    """What was written, and of what."""

    report_id: str = Field(alias="reportId")
    name: str
    interval: str
    timezone: str = "UTC"
    filters: dict[str, object]
    as_of: AwareDatetime = Field(alias="asOf")
    row_count: int = Field(alias="rowCount")
    conversation_count: int = Field(alias="conversationCount")
    unsettled_slices: int = Field(alias="unsettledSlices")
    folded: int = Field(alias="foldedIntoOther")
    files: tuple[Entry, ...]

    @classmethod
    def of(cls, report: Report, files: Iterable[File]) -> Self:
        """Describe a report and its files."""
        return cls(
            reportId=report.id,
            name=report.due.name,
            interval=interval_of(report.due),
            timezone=report.due.timezone,
            filters=filters_of(report.due),
            asOf=report.as_of,
            rowCount=len(report.groups),
            conversationCount=report.total.conversation_count,
            unsettledSlices=report.tally.unsettled,
            foldedIntoOther=report.tally.folded,
            files=tuple(_entry(file) for file in files),
        )

    @classmethod
    def read(cls, body: bytes | None) -> Self | None:
        """Read one back; None for nothing and for what is no manifest of ours."""
        try:
            return None if body is None else cls.model_validate_json(body)
        except ValidationError:
            return None

    @property
    def is_degraded(self) -> bool:
        """Return whether the figures lack something."""
        return bool(self.unsettled_slices or self.folded)

    def file(self) -> File:
        """Return the manifest as a file."""
        return File(
            NAME, "application/json", self.model_dump_json(by_alias=True, indent=2).encode()
        )


def manifest_key(name: str, start: datetime) -> str:
    """Return where the manifest of a report is."""
    return folder(name, start) + NAME


def _entry(file: File) -> Entry:
    return Entry(
        name=file.name,
        contentType=file.content_type,
        bytes=len(file.body),
        sha256=sha256(file.body).hexdigest(),
    )


BETWEEN_CODES = "|"
"""Not `;`: half of Europe's spreadsheets part cells by it, and would run a code that begins one."""

_STARTERS = {*"=+-@", "\u2212"}  # the last one: the minus sign, which normalises to itself
_IGNORED = " '\t\r\n\x0b\x0c\xa0\u2007\u202f\u3000\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
"""What may stand before a formula: what a reader trims or cannot see."""


def csv_text(report: Report, names: NameOf = NAMELESS) -> str:
    """Return one column per dimension, then the metrics; one line per group, after a header.

    Right of a column of ids is that of their names.
    """
    lines = ([_cell(value) for value in cells(report, one, names)] for one in report.groups)
    return lines_of([columns(report), *lines])


def lines_of(rows: Iterable[Sequence[object]]) -> str:
    """Write rows; text cells are neutralised, and quoted: `;` separates for many spreadsheets."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in rows:
        writer.writerow([neutral(one) if isinstance(one, str) else one for one in row])
    return text.getvalue()


def neutral(text: str) -> str:
    """Return the text such that no spreadsheet runs it."""
    return f"'{text}" if _would_run(text) else text


def original(cell: str) -> str:
    """Undo `neutral`."""
    return cell[1:] if cell.startswith("'") and _would_run(cell) else cell


def _would_run(text: str) -> bool:
    """Check what follows our own apostrophes, so that adding or taking one changes nothing."""
    rest = text.lstrip("'")
    if rest[:1] in {"\t", "\r", "\n"}:
        return True
    # Fullwidth and small forms (U+FF1D, U+FE66 ...) are read as the plain sign: NFKC folds them.
    return normalize("NFKC", rest.lstrip(_IGNORED)[:1])[:1] in _STARTERS


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return BETWEEN_CODES.join(one.replace(BETWEEN_CODES, "/") for one in value)
    return value


def json_text(report: Report, names: NameOf = NAMELESS) -> bytes:
    """Return the whole report; numbers are JSON numbers with the digits of the CSV."""
    document = {
        "header": header_of(report),
        "total": _metrics(report.total),
        "previous": report.previous
        and {"interval": _iso(report.previous.span), "total": _metrics(report.previous.total)},
        "rows": rows_of(report, names),
    }
    return orjson.dumps(document, default=_number, option=orjson.OPT_INDENT_2)


def header_of(report: Report) -> dict[str, Any]:
    """Return interval, filters, as-of time and counts."""
    tally = report.tally
    return {
        "reportId": report.id,
        "name": report.due.name,
        "interval": interval_of(report.due),
        "timezone": report.due.timezone,
        "asOf": iso(report.as_of),
        "filters": filters_of(report.due),
        "groupBy": list(report.group_by),
        "rowCount": len(report.groups),
        "conversationCount": report.total.conversation_count,
        "leftOut": {"live": tally.live, "unreadable": tally.unreadable},
        "repeatsDropped": tally.repeated,
        "foldedIntoOther": tally.folded,
        "unsettledSlices": tally.unsettled,
        "percentileRelativeError": 0 if report.total.is_exact else RELATIVE_ERROR,
    }


def rows_of(report: Report, names: NameOf) -> list[dict[str, Any]]:
    """Return one object per group, keyed as the columns of the CSV; null: no name is known."""
    keys = columns(report)
    return [
        dict(zip(keys, cells(report, group, names), strict=True))
        | {"unlisted_wrapup_codes": group.figures.unlisted_wrapup_codes}
        for group in report.groups
    ]


def _iso(span: Interval) -> str:
    return f"{iso(span[0])}/{iso(span[1])}"


def _metrics(figures: Figures) -> dict[str, Any]:
    return {name: metric(figures, name) for name in METRICS}


def figures_key(name: str, start: datetime) -> str:
    """Return where the figures of a report are, for machines."""
    return folder(name, start) + FIGURES


class _Metrics(_Wire):
    conversation_count: int
    avg_duration_seconds: Decimal
    talk_ratio: Decimal
    hold_ratio: Decimal
    efficiency_score: Decimal
    unique_wrapup_codes: tuple[str, ...]
    p50_duration_seconds: Decimal
    p90_duration_seconds: Decimal
    p99_duration_seconds: Decimal

    def figures(self) -> Figures:
        return Figures(**{name: getattr(self, name) for name in METRICS})


class _Row(_Metrics):
    model_config = ConfigDict(frozen=True, extra="allow")

    def key(self, group_by: tuple[str, ...]) -> tuple[str | None, ...]:
        return tuple((self.model_extra or {}).get(name) for name in group_by)


class _Header(_Wire):
    interval: str
    filters: dict[str, Any]
    group_by: tuple[str, ...] = Field(alias="groupBy")


class _Stored(_Wire):
    header: _Header
    total: _Metrics
    rows: tuple[_Row, ...]


def _stored(body: bytes) -> _Stored | None:
    try:
        return _Stored.model_validate_json(body)
    except ValidationError:
        return None


def previous_in(body: bytes | None, due: ReportDue, span: Interval) -> Previous | None:
    """Return the figures of the period before from its `report.json`.

    None for nothing, for what is no report of ours, and for one of other conversations.
    """
    stored = None if body is None else _stored(body)
    group_by = dimensions_of(due.group_by)
    wanted = (_iso(span), filters_of(due), group_by)
    if stored is None or wanted != (
        stored.header.interval,
        stored.header.filters,
        stored.header.group_by,
    ):
        return None
    groups = {row.key(group_by): row.figures() for row in stored.rows}
    return Previous(span=span, total=stored.total.figures(), groups=groups)


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError
