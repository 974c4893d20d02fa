"""A report as JSON: a header that says what the figures are of, then a list of objects."""

from decimal import Decimal
from typing import Any

import orjson

from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.report import METRICS, Report, cells, iso


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
        "further": [{"dimension": name, "value": value} for name, value in due.filters],
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
