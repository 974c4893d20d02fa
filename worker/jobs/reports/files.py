"""The files of a report and its manifest, which is written last. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from worker.jobs.reports.page import html_page
from worker.jobs.reports.report import Report
from worker.jobs.reports.tables import csv_text, filters_of, interval_of, json_text


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
