"""The files of a report, and where they go."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.jobs.reports.csv_text import csv_text
from worker.jobs.reports.html_page import html_page
from worker.jobs.reports.json_text import json_text
from worker.jobs.reports.report import Report


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


def files_of(report: Report, names: Mapping[str, str] | None = None) -> list[File]:
    """Return all files but the manifest."""
    return [
        File("report.csv", "text/csv; charset=utf-8", csv_text(report).encode()),
        File("report.json", "application/json", json_text(report)),
        File("report.html", "text/html; charset=utf-8", html_page(report, names).encode()),
    ]
