"""Settings of the scheduled reports."""

from typing import Annotated

from pydantic import Field

from worker.settings.fields import Group, Seconds, Url, group


class Report(Group):
    """Scheduled reports."""

    model_config = group("REPORT_")

    bucket: str | None = None
    """S3 bucket of the report files, under `reports/{name}/{start}/`."""

    webhook_url: Url | None = None
    """Told, beside the event bus, that a report is ready. Unset: only the bus is."""

    url_seconds: Annotated[int, Field(ge=60, le=604_800)] = 86_400
    """Life of the links to the files; they end sooner with the credentials that sign them."""

    use_jobs: bool = False
    """Read days older than 48 hours by asynchronous jobs: a tenth of the requests."""

    concurrency: Annotated[int, Field(ge=1, le=32)] = 4
    """Requests of one report under way at once; all reports give way to live events."""

    page_size: Annotated[int, Field(ge=1, le=100)] = 100
    """Conversations per page of a query."""

    deadline_seconds: Seconds = 3600
    """Time for one report, in place of HANDLER_DEADLINE_SECONDS."""
