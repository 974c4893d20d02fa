"""Builds the scheduled reports."""

from worker.app.genesys import GenesysParts
from worker.app.protection import Run, protected
from worker.app.webhooks import build_webhook
from worker.app.workshop import Workshop, now
from worker.clients.aws.bucket import Bucket
from worker.clients.aws.bus import Bus
from worker.clients.aws.session import ClientLimits
from worker.clients.genesys.details import DetailsReader
from worker.clients.genesys.details_jobs import DetailsJobs
from worker.clients.genesys.details_pages import details_dialect
from worker.handlers.scheduled_report import Listeners, WriteReport
from worker.resilience.steps import Steps


async def build(workshop: Workshop, genesys: GenesysParts, bus: Bus) -> Run:
    """Return the handler, its reader, its bucket and who it tells; ECS spares it."""
    hook = await build_webhook(workshop, "report_webhook", workshop.settings.report.webhook_url)
    write = WriteReport(
        reader=build_reader(workshop, genesys),
        bucket=await build_bucket(workshop),
        listeners=Listeners(bus=bus, hook=hook, steps=Steps()),
        now=now,
    )
    deadline = workshop.settings.report.deadline_seconds
    return await protected(workshop, write, longest_seconds=deadline)


def build_reader(workshop: Workshop, genesys: GenesysParts) -> DetailsReader:
    """Return what reads the conversations of a report."""
    settings, dialect = workshop.settings.report, workshop.settings.genesys.dialect
    jobs = DetailsJobs(genesys.api) if settings.use_jobs and dialect == "platform" else None
    pages = details_dialect(dialect, settings.page_size)
    return DetailsReader(genesys.api, pages, settings.concurrency, now, jobs)


async def build_bucket(workshop: Workshop) -> Bucket:
    """Return the bucket that reports are written to."""
    settings = workshop.settings.report
    client = await workshop.aws_client("s3", ClientLimits(pool=10, read_seconds=30, attempts=4))
    guard = workshop.upstreams.aws("s3_reports")
    return Bucket(client, settings.bucket or "", guard, settings.url_seconds, now)
