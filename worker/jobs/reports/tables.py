"""The tables of a report: CSV and JSON. Pure.

A spreadsheet cannot mistake the CSV (RFC 4180) for formulas: a text cell that it would run gets an
apostrophe in front, which it shows as text; so does one that already begins with apostrophes and
would run without them. Numbers are untouched: they are ours, and `-1` must stay a number.
https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from unicodedata import normalize

import orjson

from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.report import METRICS, Report, cells, iso

BETWEEN_CODES = "|"
"""Not `;`: half of Europe's spreadsheets part cells by it, and would run a code that begins one."""

_STARTERS = {*"=+-@", "\u2212"}  # the last one: the minus sign, which normalises to itself
_IGNORED = " '\t\r\n\x0b\x0c\xa0\u2007\u202f\u3000\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
"""What may stand before a formula: what a reader trims or cannot see."""


def csv_text(report: Report) -> str:
    """Return one column per dimension, then the metrics; one line per group, after a header."""
    header = (*report.group_by, *METRICS)
    return lines_of([header, *([_cell(value) for value in cells(one)] for one in report.groups)])


def lines_of(rows: Iterable[Sequence[object]]) -> str:
    """Write rows; text cells are neutralised."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
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
    return BETWEEN_CODES.join(value) if isinstance(value, tuple) else value


def json_text(report: Report) -> bytes:
    """Return the whole report; numbers are JSON numbers with the digits of the CSV."""
    document = {"header": header_of(report), "rows": rows_of(report)}
    return orjson.dumps(document, default=_number, option=orjson.OPT_INDENT_2)


def header_of(report: Report) -> dict[str, Any]:
    """Return interval, filters, as-of time and counts."""
    tally = report.tally
    return {
        "reportId": report.id,
        "name": report.due.name,
        "interval": interval_of(report.due),
        "asOf": iso(report.as_of),
        "filters": filters_of(report.due),
        "groupBy": list(report.group_by),
        "rowCount": len(report.groups),
        "conversationCount": report.total.conversation_count,
        "leftOut": {"live": tally.live, "unreadable": tally.unreadable},
        "repeatsDropped": tally.repeated,
        "foldedIntoOther": tally.folded,
        "unsettledSlices": tally.unsettled,
        "percentileRelativeError": 0.01,
    }


def interval_of(due: ReportDue) -> str:
    """Return the interval in ISO 8601; its end is not in it."""
    return f"{iso(due.start)}/{iso(due.end)}"


def filters_of(due: ReportDue) -> dict[str, Any]:
    """Return what the conversations were picked by."""
    return {
        "mediaType": due.media_type,
        "queueIds": list(due.queue_ids),
        "further": [
            {"dimension": one.name, "operator": one.operator, "value": list(one.values)}
            for one in due.filters
        ],
    }


def rows_of(report: Report) -> list[dict[str, Any]]:
    """Return one object per group, keyed as the columns of the CSV."""
    names = (*report.group_by, *METRICS)
    return [
        dict(zip(names, cells(group), strict=True))
        | {"unlisted_wrapup_codes": group.figures.unlisted_wrapup_codes}
        for group in report.groups
    ]


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError
