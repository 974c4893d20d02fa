"""Settings of the scheduled reports."""

from typing import Annotated, Literal

from pydantic import Field

from worker.api import Bucket, Globs, JobSettings, Seconds, Url


class ReportSettings(JobSettings):
    """Scheduled reports."""

    report_bucket: Bucket | None = None
    """S3 bucket of the report files, under `reports/{name}/{start}/`."""

    report_webhook_url: Url | None = None
    """Notified, beside the event bus, that a report is ready. Unset: only the bus is."""

    report_webhook_format: Literal["json", "slack", "teams"] = "json"
    """`json`: as on the bus; `slack`: for an incoming webhook; `teams`: for one of Workflows."""

    report_url_seconds: Annotated[int, Field(ge=60, le=604_800)] = 86_400
    """Life of the links to the files; they end sooner with the credentials that sign them."""

    report_use_jobs: bool = False
    """Read days older than 48 hours by asynchronous jobs: a tenth of the requests."""

    report_read_previous: bool = False
    """Read the period before too, for comparison, where no report of it is stored; else its figures
    come from that report, if there is one."""

    report_concurrency: Annotated[int, Field(ge=1, le=32)] = 4
    """Requests of one report under way at once; all reports give way to live events."""

    report_page_size: Annotated[int, Field(ge=1, le=100)] = 100
    """Conversations per page of a query."""

    report_deadline_seconds: Seconds = 3600
    """Time for one report, in place of HANDLER_DEADLINE_SECONDS."""

    events_report_types: Globs = ("report.due", "Scheduled Event")
    """Types read as ReportDue."""
