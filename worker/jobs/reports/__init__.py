"""Scheduled reports: paged analytics become CSV, JSON and a page in S3."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from worker.api import (
    Bucket,
    ClientLimits,
    Context,
    DetailsJobs,
    EventType,
    Finding,
    GenesysClients,
    Globs,
    Job,
    JobSettings,
    Names,
    OncePerKey,
    Seconds,
    Url,
    probes,
)
from worker.jobs.reports.bucket import ReportBucket
from worker.jobs.reports.events import ReportDue, report_due
from worker.jobs.reports.files import folder
from worker.jobs.reports.handler import READY, SOURCE, Subscribers, WriteReport
from worker.jobs.reports.reader import DetailsReader


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


async def build(context: Context, settings: ReportSettings) -> WriteReport:
    """Return the handler, its reader, its bucket and who it notifies."""
    genesys = await context.genesys()
    return WriteReport(
        reader=open_reader(context, settings, genesys),
        bucket=await open_bucket(context, settings),
        subscribers=await _subscribers(context, settings),
        now=context.now,
        names=open_names(context, genesys),
        reads_previous=settings.report_read_previous,
    )


async def _subscribers(context: Context, settings: ReportSettings) -> Subscribers:
    return Subscribers(
        hook=await context.webhook("report_webhook", settings.report_webhook_url),
        bus=await context.event_bus(),
        once_per_key=OncePerKey(),
        form=settings.report_webhook_format,
    )


def open_names(context: Context, genesys: GenesysClients) -> Names | None:
    """Return what looks names up; None where the dialect has no lists of them."""
    if "lookups" not in genesys.dialect.features:
        return None
    names = Names(genesys.api, context.cache("names"))
    context.on_close(names.aclose)
    return names


def open_reader(
    context: Context, settings: ReportSettings, genesys: GenesysClients
) -> DetailsReader:
    """Return what reads the conversations of an interval."""
    has_jobs = settings.report_use_jobs and "details_jobs" in genesys.dialect.features
    jobs = DetailsJobs(genesys.api) if has_jobs else None
    pages = genesys.dialect.pages(settings.report_page_size)
    return DetailsReader(genesys.api, pages, settings.report_concurrency, context.now, jobs)


async def open_bucket(context: Context, settings: ReportSettings) -> ReportBucket:
    """Return the bucket that reports are written to."""
    limits = ClientLimits(pool=10, read_seconds=30, attempts=4)
    s3 = await context.aws("s3", limits, setting="REPORT_BUCKET", upstream="s3_reports")
    return ReportBucket(s3, settings.report_bucket or "", settings.report_url_seconds, context.now)


def _permissions(settings: ReportSettings) -> dict[str, str]:
    details = "/api/v2/analytics/conversations/details"
    calls = [f"POST {details}/query"]
    if settings.report_use_jobs:
        calls += [f"GET {details}/jobs/availability", f"POST {details}/jobs"]
        calls += [f"GET {details}/jobs/{{jobId}}", f"GET {details}/jobs/{{jobId}}/results"]
    view = "analytics:conversationDetail:view or analytics:agentConversationDetail:view"
    return dict.fromkeys(calls, view)


BUCKET = "report bucket"
"""Name of the finding."""

REPORT_KEY = folder(probes.MARK, datetime(1970, 1, 1, tzinfo=UTC)) + probes.MARK
"""A key as the handler makes them: permissions are granted by prefix."""


async def check_bucket(context: Context, settings: ReportSettings) -> list[Finding]:
    """Try to write a report."""
    s3 = await context.aws("s3", setting="REPORT_BUCKET")
    return [await probes.put_object(BUCKET, s3, settings.report_bucket or "", REPORT_KEY)]


JOB = Job(
    name="reports",
    summary="writes scheduled analytics reports to S3",
    events=(
        EventType(
            kind=ReportDue, types="events_report_types", platform=report_due, reference=report_due
        ),
    ),
    settings=ReportSettings,
    build=build,
    requires=("REPORT_BUCKET",),
    needs=("login", "analytics", "s3_reports", "events"),
    may_miss=("platform",),
    permissions=_permissions,
    optional_permissions={
        "GET /api/v2/routing/queues": "routing:queue:view",
        "GET /api/v2/users": "directory:user:view",
        "GET /api/v2/authorization/divisions": "",
        "GET /api/v2/routing/wrapupcodes": "routing:wrapupCode:view",
    },
    aws_services=("s3", "events"),
    aws_actions={
        "s3:PutObject": "REPORT_BUCKET",
        "s3:GetObject": "REPORT_BUCKET",
        "events:PutEvents": "EVENT_BUS_NAME",
    },
    deadline="report_deadline_seconds",
    background=True,
    webhooks=("report_webhook_url",),
    bus_events=((SOURCE, READY),),
    effects=lambda event: {"folder": folder(event.name, event.start)},
    without_backfill="`worker report` writes a report of any interval",
    checks={"report bucket": "worker.jobs.reports:check_bucket"},
    demo="worker.jobs.reports.demo:demo",
)
