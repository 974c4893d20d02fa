"""A report as CSV (RFC 4180) that a spreadsheet cannot mistake for formulas.

A text cell that a spreadsheet would run gets an apostrophe in front, which it shows as text; so
does one that already begins with apostrophes and would run without them. Numbers are untouched:
they are ours, and `-1` must stay a number. See https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
from collections.abc import Iterable, Sequence
from unicodedata import normalize

from worker.jobs.reports.report import METRICS, Report, cells

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
    """Judge what follows our own apostrophes, so that adding or taking one changes nothing."""
    rest = text.lstrip("'")
    if rest[:1] in {"\t", "\r", "\n"}:
        return True
    # Fullwidth and small forms (U+FF1D, U+FE66 ...) are read as the plain sign: NFKC folds them.
    return normalize("NFKC", rest.lstrip(_IGNORED)[:1])[:1] in _STARTERS


def _cell(value: object) -> object:
    if value is None:
        return ""
    return BETWEEN_CODES.join(value) if isinstance(value, tuple) else value
